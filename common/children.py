"""Work in a child process that may hang: it is ended, from outside and from within."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

EXPIRED = 124
"""Exit status of a child that ended itself."""
Tell = Callable[[bytes], None]
Work = Callable[..., None]
"""Called with `Tell`, the folder of its files, and what it was started with."""
_SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit threads' locks, and gRPC


class Child:
    """A child process at work. Whoever starts it calls `end`, or enters it.

    It never outlives its limit, even if this process is killed: a thread of its own ends it,
    whatever native code its main thread hangs in.

    Args:
        work: a function of a module, which the child imports; what it tells, `next` returns.
        arguments: its further arguments, which are pickled.
        files: written to its folder before it starts, for its own user alone; removed at the end.
        limit_s: how long it may run.
    """

    def __init__(
        self, work: Work, *arguments: Any, files: Mapping[str, bytes], limit_s: float
    ) -> None:
        self._until = time.monotonic() + limit_s
        self._folder = TemporaryDirectory(prefix="lkf-child-")
        for name, data in files.items():
            path = Path(self._folder.name) / name
            path.touch(mode=0o600)
            path.write_bytes(data)
        self._told, telling = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(
            target=_child, args=(work, telling, self._folder.name, limit_s, arguments), daemon=True
        )
        self._process.start()
        telling.close()  # so that the pipe ends when the child does

    def __enter__(self) -> Self:
        """Return it; it is ended on leaving."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int | None:
        """Its number."""
        return self._process.pid

    def next(self, pulse: Callable[[], None], every_s: float = 0.2) -> bytes | None:
        """Wait for what it tells next; None if it ends, or its time does, before.

        Args:
            pulse: called while waiting; it may raise.
            every_s: how often.
        """
        while (left := self._until - time.monotonic()) > 0:
            pulse()
            if self._told.poll(min(every_s, left)):
                try:
                    return self._told.recv_bytes()
                except EOFError:
                    return None
        return None

    def exit_code(self, within_s: float) -> int | None:
        """Wait until it ends by itself; None if it still runs then."""
        self._process.join(within_s)
        return self._process.exitcode

    def end(self) -> None:
        """Kill it, if it still runs, and remove its files."""
        self._process.kill()
        self._process.join()
        self._told.close()
        self._folder.cleanup()


def _child(
    work: Work, telling: Connection, folder: str, limit_s: float, arguments: tuple[Any, ...]
) -> None:
    watchdog = threading.Timer(limit_s, os._exit, (EXPIRED,))
    watchdog.daemon = True
    watchdog.start()
    work(telling.send_bytes, Path(folder), *arguments)
