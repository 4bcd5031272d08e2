"""What ends a program that serves: signals are seen whatever the main thread does."""

import signal
import subprocess
import sys

import pytest

_PROGRAM = """\
import os
import signal
import threading
import time
from common.stopping import stopped_by

stopping = stopped_by(signal.SIGTERM, signal.SIGINT)
signal.signal(signal.SIGUSR1, lambda *_: None)
{then}
print("ended by itself" if stopping.wait(20) else "never told")
"""
_TO_ANOTHER_THREAD = """\
other = threading.Thread(target=time.sleep, args=(60,), daemon=True)
other.start()
later = threading.Timer(0.2, signal.pthread_kill, (other.ident, signal.{name}))
later.daemon = True
later.start()
"""
_IN_THE_WAIT_ITSELF = """\
with stopping._cond:  # as `wait` holds it
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
"""
_OTHERS_FIRST = """\
os.kill(os.getpid(), signal.SIGUSR1)
assert not stopping.wait(0.2)
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(
    "then",
    [
        _TO_ANOTHER_THREAD.format(name="SIGTERM"),
        _TO_ANOTHER_THREAD.format(name="SIGINT"),
        _IN_THE_WAIT_ITSELF,
        _OTHERS_FIRST,
    ],
)
def test_a_signal_is_seen_whenever_it_comes(then: str) -> None:
    program = _PROGRAM.format(then=then)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended by itself\n", "")


def test_other_signals_end_as_ever() -> None:
    then = f"os.kill(os.getpid(), {int(signal.SIGUSR2)})"
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(then=then)], timeout=30, check=False
    )
    assert done.returncode == -signal.SIGUSR2
