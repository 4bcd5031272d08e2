"""Another machine, as far as the network goes: a namespace of its own, joined by a cable."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import ENVIRONMENT, Process, command_line, wait_until

HERE, THERE = "10.213.77.1", "10.213.77.2"
_SECONDS = 120


@cache
def can_go_outside() -> bool:
    """Whether namespaces and cables between them can be made here: it is tried."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        return False
    ends = f"lkt{os.getpid() % 100_000}"
    for words in (
        ["ip", "link", "add", f"{ends}a", "type", "veth", "peer", "name", f"{ends}b"],
        ["ip", "link", "del", f"{ends}a"],
        ["unshare", "--net", "true"],
    ):
        if subprocess.run(words, capture_output=True, check=False).returncode:
            return False
    return True


class Outside:
    """A namespace whose only way is to this machine, at `HERE`.

    Args:
        folder: for what it logs.
    """

    def __init__(self, folder: Path) -> None:
        self._name = f"lkf{os.getpid() % 100_000}"
        self._holder = Process(["unshare", "--net", "sleep", "3600"], folder / "outside.log")

    def __enter__(self) -> Self:
        """Make it, and lay the cable."""
        with ExitStack() as ends:
            ends.callback(self._holder.close)
            self._holder.start()
            here, there = f"{self._name}a", f"{self._name}b"
            # Before it is `sleep`, it may not be in its namespace yet.
            wait_until(
                lambda: command_line(self._holder.pid).startswith("sleep"), 10, "the namespace"
            )
            _ip("link", "add", here, "type", "veth", "peer", "name", there)
            ends.callback(_ip, "link", "del", here)
            _ip("link", "set", there, "netns", str(self._holder.pid))
            _ip("addr", "add", f"{HERE}/30", "dev", here)
            _ip("link", "set", here, "up")
            for words in (
                ["addr", "add", f"{THERE}/30", "dev", there],
                ["link", "set", there, "up"],
                ["link", "set", "lo", "up"],
            ):
                subprocess.run([*self.wall(), "ip", *words], check=True)
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.close()

    def wall(self) -> list[str]:
        """Return what to put before a command to run it there."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]

    def python(self, code: str, *words: object) -> str:
        """Run Python code there; return what it printed."""
        done = subprocess.run(
            [*self.wall(), sys.executable, "-c", code, *map(str, words)],
            env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=_SECONDS,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
