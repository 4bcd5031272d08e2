"""A child that is kept running: started again, logged, ended with all it started."""

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import common.supervision
from common.supervision import BackOff, Ending, Kept, Verdict, plain_verdict
from tests.support.processes import wait_until

QUICK = BackOff(first_s=0.05, most_s=0.1)
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); time.sleep(60)"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def kept() -> Iterator[list[Kept]]:
    """Whatever is put into it is stopped at the end."""
    found: list[Kept] = []
    yield found
    for child in found:
        child.stop()


def test_what_ends_is_started_again(
    kept: list[Kept], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "leukofed.supervision")
    child = Kept("child", lambda: python("print('hello'); raise SystemExit(3)"),
                 tmp_path / "logs" / "child.log", back_off=QUICK)  # fmt: skip
    kept.append(child)
    child.start()
    wait_until(lambda: child.starts > 2, 10, "the third start")
    child.stop()
    assert child.pid is None
    assert not child.is_wanted
    assert (tmp_path / "logs" / "child.log").read_text().count("hello") >= 2
    assert "exit code 3 after 0 s; it is started again in 0 s" in caplog.text
    assert "hello" not in caplog.text
    assert caplog.messages[-1] == "child stopped"


def test_the_whole_group_ends_also_what_ignores_sigterm(kept: list[Kept], tmp_path: Path) -> None:
    parent = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {DEAF!r}])"
    child = Kept("child", lambda: python(parent), tmp_path / "log")
    kept.append(child)
    child.start()
    wait_until(
        lambda: (tmp_path / "log").exists() and "deaf" in (tmp_path / "log").read_text(), 10, "it"
    )
    group = child.pid
    assert group is not None
    child.stop()
    wait_until(lambda: not members(group), 10, "the end of what was killed")


def test_one_that_does_not_stop_is_killed(kept: list[Kept], tmp_path: Path) -> None:
    child = Kept("child", lambda: python(DEAF), tmp_path / "log", patience_s=0.2)
    kept.append(child)
    child.start()
    wait_until(lambda: (tmp_path / "log").exists(), 10, "its output")
    group = child.pid
    child.stop()
    assert group is not None
    assert not members(group)


def test_a_restart_tells_its_reason(
    kept: list[Kept], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    child = Kept(
        "child", lambda: python("import time; time.sleep(60)"), tmp_path / "log", back_off=QUICK
    )
    kept.append(child)
    child.start()
    wait_until(lambda: child.pid, 10, "its start")
    before = child.pid
    child.restart("it was silent")
    wait_until(lambda: child.starts == 2, 10, "its second start")
    assert child.pid != before
    assert "child: it was silent; it is started again in 0 s" in caplog.text


def test_a_restart_that_comes_too_late_takes_no_reason_away(
    kept: list[Kept], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The child has ended, but one that left its group still holds the pipe of its output."""
    caplog.set_level(logging.INFO, "leukofed.supervision")
    holder = "import time; print('holds', flush=True); time.sleep(4)"
    parent = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {holder!r}], "
        "start_new_session=True); time.sleep(60)"
    )
    child = Kept("child", lambda: python(parent), tmp_path / "log", back_off=QUICK,
                 verdict=lambda ending: Verdict("it ended by itself"))  # fmt: skip
    kept.append(child)
    child.start()
    wait_until(
        lambda: (tmp_path / "log").exists() and "holds" in (tmp_path / "log").read_text(), 10, "it"
    )
    child.restart("it hangs")
    wait_until(lambda: child.pid is None, 10, "its end")
    child.restart("it hangs still")
    wait_until(lambda: child.starts > 1, 10, "the second start")
    assert "child: it hangs; it is started again" in caplog.text
    assert "it ended by itself" not in caplog.text


def test_it_can_be_started_again_after_a_stop(kept: list[Kept], tmp_path: Path) -> None:
    child = Kept("child", lambda: python("import time; time.sleep(60)"), tmp_path / "log")
    kept.append(child)
    for starts in (1, 2):
        child.start()
        wait_until(lambda: child.pid, 10, "its start")
        assert child.starts == starts
        child.stop()


def test_what_cannot_be_started_is_tried_again(kept: list[Kept], tmp_path: Path) -> None:
    tries = iter([["/no/such/command"], python("import time; time.sleep(60)")])
    child = Kept("child", lambda: next(tries), tmp_path / "log", back_off=QUICK)
    kept.append(child)
    child.start()
    wait_until(lambda: child.running_s > 0.2, 10, "its start")


def test_a_verdict_says_when_it_is_started_again(
    kept: list[Kept], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def verdict(ending: Ending) -> Verdict:
        assert ending.last == ("Failed to activate",)
        return Verdict("the lease of the one before is not over", 0.01)

    command = python("print('Failed to activate')")
    child = Kept("child", lambda: command, tmp_path / "log", verdict=verdict)
    kept.append(child)
    child.start()
    wait_until(lambda: child.starts > 2, 10, "the third start")
    assert "child: the lease of the one before is not over" in caplog.text


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_a_child_ends_with_its_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from common.supervision import Kept; "
        "child = Kept('child', lambda: ['sleep', '60'], Path(sys.argv[1])); child.start(); "
        "[time.sleep(0.05) for _ in iter(lambda: child.pid is None, False)]; "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [*python(code), str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        group = int(supervisor.stdout.readline())
        wait_until(lambda: members(group), 10, "the child")
        time.sleep(0.3)  # until setpriv has become the command
        supervisor.kill()
    wait_until(lambda: not members(group), 10, "the child's end")


def test_a_large_log_is_put_aside(
    kept: list[Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common.supervision, "LOG_BYTES", 2000)
    child = Kept("child", lambda: python("for i in range(500): print('line', i)"), tmp_path / "log",
                 verdict=lambda _: Verdict("done", 60.0))  # fmt: skip
    kept.append(child)
    child.start()
    wait_until(lambda: child.starts and child.pid is None, 10, "its end")
    child.stop()
    logs = sorted(path.name for path in tmp_path.iterdir())
    assert logs == ["log", "log.1", "log.2", "log.3", "log.4", "log.5"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert (tmp_path / "log").read_text().endswith("line 499\n")


def test_pauses_grow_to_a_limit_and_are_forgotten_after_a_good_while() -> None:
    back_off, pause, found = BackOff(), None, []
    for _ in range(8):
        pause = back_off.next_s(pause, ran_s=2.0)
        found.append(pause)
    assert found == [1, 2, 4, 8, 16, 32, 60, 60]
    assert back_off.next_s(pause, ran_s=61.0) == 1


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending(1, 4.0), "exit code 1 after 4 s"),
        (Ending(-9, 75.0), "ended by SIGKILL after 1 min 15 s"),
        (Ending(None, 0.0), "it cannot be started"),
    ],
)
def test_an_ending_in_words(ending: Ending, words: str) -> None:
    assert plain_verdict(ending) == Verdict(words)


def members(group: int) -> list[int]:
    """List the processes of a group that still run; those that nobody has waited for do not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(entry.name))
    return found
