"""Work on many images at once: every core, results in order, memory bounded."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition
from typing import TypeVar

from client.pulse import Pulse, no_pulse
from common.imaging.decode import pixels_of

T = TypeVar("T")
R = TypeVar("R")

# Measured: an image takes up to 25 bytes for each of its pixels while it is decoded and prepared,
# with every step on, and 15 with the usual ones (`benchmarks/images.py` prints the peak).
_BYTES_A_PIXEL = 26
_LEAST_ROOM = 10**9
_SHARE = 8  # of the machine's memory, one part


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    work: Callable[[T], R], items: Iterable[T], pulse: Pulse = no_pulse, ahead: int | None = None
) -> Generator[R]:
    """Yield the work done on each item, in the items' order; every core works ahead.

    Args:
        work: what is done, in threads; what it raises is raised here, in the item's turn.
        items: read as far as the work has come.
        pulse: called before every item; if it raises, what has not begun is dropped.
        ahead: most results that wait to be taken; None: two a core.
    """
    most = max(1, 2 * cores() if ahead is None else ahead)
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for item in items:
                pulse()
                waiting.append(pool.submit(work, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Room:
    """Memory that threads share: who finds too little waits until others have given back.

    Args:
        size: in bytes; what is larger by itself gets in once nobody else is there.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._taken = 0
        self._changed = Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Hold so many bytes within this context."""
        wanted = min(wanted, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + wanted <= self.size)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()

    @contextmanager
    def for_image(self, data: bytes) -> Iterator[None]:
        """Hold, within this context, what decoding and preparing an encoded image takes."""
        with self.taken(_BYTES_A_PIXEL * pixels_of(data)):
            yield


def _size_here() -> int:
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return _LEAST_ROOM
    return max(_LEAST_ROOM, whole // _SHARE)


ROOM = Room(_size_here())
"""What all images that are worked on at once may take together on this machine."""
