"""Processes under test: started with their own environment, logged, stopped, killed, measured."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",  # Flower starts children by name
    "PYTHONPATH": str(ROOT),
}


class Process:
    """A process in a group of its own, so that its children end with it.

    Args:
        command: its words; a function among them is called whenever the process is started.
        log: where its output is appended; it runs in this file's folder.
        environment: what is added to this process's own.
    """

    def __init__(
        self,
        command: Sequence[object],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._command = command
        self._environment = {**os.environ, **ENVIRONMENT, **(environment or {})}
        self._running: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    @property
    def pid(self) -> int:
        """Its number; it has been started."""
        return self._started().pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._running is not None and self._running.poll() is None

    def start(self) -> "Process":
        """Start it, appending to its log."""
        words = [str(word() if callable(word) else word) for word in self._command]
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                words, env=self._environment, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.log.parent,
            )  # fmt: skip
        self._groups.append(self._running.pid)
        return self

    def stop(self, wait_s: float = 30.0) -> int:
        """Ask it to end, by SIGTERM; return its exit code. What it left behind is ended too."""
        started = self._started()
        try:
            if self.is_alive:
                started.terminate()
                try:
                    started.wait(wait_s)
                except subprocess.TimeoutExpired:
                    started.kill()
            return started.wait()
        finally:
            self._end_groups()

    def close(self) -> None:
        """End it, and what it left behind each time it was started; it may have ended by now."""
        if self.is_alive:
            self.stop()
        self._end_groups()

    def kill(self) -> None:
        """End it by SIGKILL; its children are left to find out for themselves."""
        self._started().send_signal(signal.SIGKILL)
        self._started().wait()

    def text(self) -> str:
        """Return what it has logged so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _end_groups(self) -> None:
        while self._groups:
            with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, of zombies
                os.killpg(self._groups.pop(), signal.SIGKILL)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._running is None:
            raise RuntimeError(f"not started: {self._command[0]}")
        return self._running


def wait_until(
    is_so: Callable[[], object], seconds: float, what: str, every_s: float = 0.2
) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it was not, for so many seconds.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every_s)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int, word: str) -> list[int]:
    """List the descendants of a process whose command line holds a word."""
    found, waiting = [], [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                for child in map(int, task.read_text(encoding="ascii").split()):
                    waiting.append(child)
                    if word in command_line(child):
                        found.append(child)
            except (OSError, ValueError):
                continue
    return found


def command_line(pid: int) -> str:
    """Return a process's command line; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has held so far, in bytes; 0 if it is gone."""
    return _status(pid, "VmHWM:")


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds now, in bytes; 0 if it is gone."""
    return _status(pid, "VmRSS:")


def _status(pid: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)
