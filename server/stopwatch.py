"""Seconds spent per arm, over all the processes that worked on a run."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.whole_file import write_whole


class Stopwatch:
    """Wall-clock seconds by name; a resumed run adds to what was spent before.

    Args:
        file: keeps them.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self.seconds: dict[str, float] = json.loads(file.read_bytes())
        except (OSError, ValueError):
            self.seconds = {}

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Add the time spent within this context.

        A disk that refuses costs the account of it, and no more: what ends in the meantime tells
        by itself why.
        """
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
            with suppress(OSError):
                write_whole(self._file, f"{json.dumps(self.seconds, indent=1)}\n".encode())
