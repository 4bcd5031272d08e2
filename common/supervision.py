"""A child process kept running: logged, started again with back-off, ended with all it started."""

import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from common.durations import duration
from common.plain_text import plain

_LOG = logging.getLogger("leukofed.supervision")
LOG_BYTES = 10_000_000
"""A log's file is put aside when it has grown to this size."""
LOGS_KEPT = 5
"""How many files that were put aside are kept beside the newest."""
_LONGEST_LINE = 65_536
_LINES_REMEMBERED = 50
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LEFT_BEHIND_S = 2.0  # what an ended child left behind may take to end by itself


@dataclass(frozen=True)
class Ending:
    """How a child ended that was not asked to."""

    code: int | None
    """Its exit code, negative for a signal; None: it could not be started."""
    seconds: float
    """How long it had run."""
    last: Sequence[str] = ()
    """Its last lines of output; they stay on this machine."""


@dataclass(frozen=True)
class Verdict:
    """What an ending means."""

    words: str
    """Why it ended, for the log."""
    pause_s: float | None = None
    """How long to wait before it is started again; None: the back-off says."""


@dataclass(frozen=True)
class BackOff:
    """How long to wait before a child is started again: twice as long each time."""

    first_s: float = 1.0
    most_s: float = 60.0
    well_s: float = 60.0
    """After it ran for so long, the next pause is the first again."""

    def next_s(self, before_s: float | None, ran_s: float) -> float:
        """Return the next pause, given the one before, if any."""
        if before_s is None or ran_s >= self.well_s:
            return self.first_s
        return min(2 * before_s, self.most_s)


def plain_verdict(ending: Ending) -> Verdict:
    """Say how a child ended, whatever it printed."""
    if ending.code is None:
        return Verdict("it cannot be started")
    how = f"exit code {ending.code}"
    if ending.code < 0:
        with suppress(ValueError):
            how = f"ended by {signal.Signals(-ending.code).name}"
    return Verdict(f"{how} after {duration(ending.seconds)}")


class Kept:
    """A command that runs, in a process group of its own, from `start` to `stop`.

    Whenever it ends it is started again, for ever. Its output goes to a rotated file and nowhere
    else. Where the system can (`setpriv` of Linux), it gets SIGTERM if this process is killed.

    Args:
        name: what log lines call it.
        command: returns its words; called at every start.
        log: the file of its output.
        environment: all of its environment; None: this process's own.
        folder: where it runs; None: where this process does.
        verdict: says what an ending means.
        back_off: the pauses between starts.
        patience_s: how long a stop waits after SIGTERM before SIGKILL.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[object]],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        verdict: Callable[[Ending], Verdict] = plain_verdict,
        back_off: BackOff = BackOff(),
        patience_s: float = 30.0,
    ) -> None:
        self.name = name
        self.log = log
        self.starts = 0
        self._command = command
        self._environment = environment
        self._folder = folder
        self._verdict = verdict
        self._back_off = back_off
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._reason = ""

    @property
    def pid(self) -> int | None:
        """Its number; None while it does not run."""
        with self._lock:
            return None if self._process is None else self._process.pid

    @property
    def running_s(self) -> float:
        """How long it has run, in seconds; 0 while it does not."""
        with self._lock:
            return 0.0 if self._process is None else time.monotonic() - self._began

    @property
    def is_wanted(self) -> bool:
        """Whether it was started and not stopped since: it runs, or will again."""
        return self._thread is not None

    def start(self) -> None:
        """Keep it running from now on."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._keep, name=self.name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End it and all that it started, and leave it so; returns when that is done."""
        if self._thread is not None:
            self._stopping.set()
            self._end("")
            self._thread.join()
            self._thread, self._reason = None, ""

    def restart(self, reason: str) -> None:
        """End it and all that it started; it is started again.

        Args:
            reason: why, for the log.
        """
        self._end(reason)

    def _end(self, reason: str) -> None:
        with self._lock:
            process = self._process
            if process is None:  # a reason that was given before still waits to be told
                return
            self._reason = reason
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            _LOG.warning(
                "%s did not stop within %s; it is killed", self.name, duration(self._patience_s)
            )
            _signal_group(process.pid, signal.SIGKILL)

    def _keep(self) -> None:
        output = rotated(self.log)
        pause_s = None
        try:
            while not self._stopping.is_set():
                ending = self._run_once(output)
                if self._stopping.is_set():
                    break
                with self._lock:
                    reason, self._reason = self._reason, ""
                verdict = Verdict(reason) if reason else self._verdict(ending)
                if verdict.pause_s is None:
                    pause_s = self._back_off.next_s(pause_s, ending.seconds)
                wait_s = pause_s if verdict.pause_s is None else verdict.pause_s
                _LOG.warning(
                    "%s: %s; it is started again in %s",
                    self.name,
                    verdict.words,
                    duration(wait_s or 0),
                )
                self._stopping.wait(wait_s)
        finally:
            output.close()
        _LOG.info("%s stopped", self.name)

    def _run_once(self, output: RotatingFileHandler) -> Ending:
        last: deque[str] = deque(maxlen=_LINES_REMEMBERED)
        with self._lock:
            if self._stopping.is_set():
                return Ending(None, 0.0)
            try:
                process = subprocess.Popen(
                    [*_leash(), *map(str, self._command())], env=self._environment,
                    cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                _write(output, f"cannot be started: {error}")
                return Ending(None, 0.0, (str(error),))
            self._process, self._began = process, time.monotonic()
            self.starts += 1
        _LOG.info("%s started, process %d", self.name, process.pid)
        reader = threading.Thread(
            target=_copy, args=(process.stdout, output, last), name=f"{self.name}-log", daemon=True
        )
        reader.start()
        code = process.wait()
        _end_left_behind(process.pid)
        with self._lock:
            seconds = time.monotonic() - self._began
            self._process = None
        reader.join(
            _LEFT_BEHIND_S
        )  # one that left the group may hold the pipe: it is not waited for
        return Ending(code, seconds, tuple(last))


def rotated(file: Path) -> RotatingFileHandler:
    """Return a handler that writes to a file and puts it aside when it is large."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        file, maxBytes=LOG_BYTES, backupCount=LOGS_KEPT, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    return handler


def _write(output: RotatingFileHandler, line: str) -> None:
    output.handle(logging.makeLogRecord({"msg": line}))


def _copy(pipe: IO[bytes], output: RotatingFileHandler, last: deque[str]) -> None:
    with pipe:
        while line := pipe.readline(_LONGEST_LINE):
            text = plain(_COLOUR.sub("", line.decode("utf-8", "replace")).rstrip())
            if text:
                last.append(text)
                _write(output, text)


def _leash() -> list[str]:
    """Return what makes the system end a child whose supervisor was killed.

    The system ends it with the *thread* that started it, which here lives as long as the child.
    """
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM"]


def _end_left_behind(group: int) -> None:
    """End what is left of a group whose leader has ended: SIGTERM, and SIGKILL soon after."""
    until = time.monotonic() + _LEFT_BEHIND_S
    is_left = _signal_group(group, signal.SIGTERM)
    while is_left and time.monotonic() < until:
        time.sleep(0.05)
        is_left = _signal_group(group, 0)
    if is_left:
        _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a group; return whether there was one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # the latter: macOS, of zombies
        return False
    return True
