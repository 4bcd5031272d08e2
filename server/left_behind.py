"""Ending a process with all that it started, those in sessions of their own too."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PATIENCE_S = 5.0


def end_whole(pid: int | None, end: Callable[[], None]) -> None:
    """End a process by a given way, and whatever of its descendants is then left.

    Flower's SuperLink starts its SuperExec, and this every ServerApp, in a session of its own:
    ending the group does not reach them, and they end by themselves only if the SuperLink ended
    in good order.

    Args:
        pid: the process; None: it does not run.
        end: ends it.
    """
    left = descendants(pid)
    end()
    until = time.monotonic() + _PATIENCE_S
    while (left := [one for one in left if _is_alive(one)]) and time.monotonic() < until:
        time.sleep(0.1)
    for one in left:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def descendants(pid: int | None) -> list[int]:
    """List what a process has started, and they in turn; empty where the system does not tell."""
    found: list[int] = []
    waiting = [] if pid is None else [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with suppress(OSError, ValueError):
                children = [int(word) for word in task.read_text(encoding="ascii").split()]
                found += children
                waiting += children
    return found


def _is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie, which has no words."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
