"""Memory that is freed between batches stays with the process until the work is over."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

# Names and numbers of glibc's malloc.h. Left alone, it maps every array of some megabytes anew
# and gives it back a moment later, and the kernel clears each page again for every layer.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 256 << 20, 1 << 30  # bytes: the largest array that is kept, the most that is kept free
_LEFT_ALONE = 32 << 20, 64 << 20  # where glibc ends by itself, once large arrays were freed


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let freed memory be used again within this context, and give it back after it.

    The bits of every result are the same. Where the C library is not glibc, nothing is changed.
    """
    library = _glibc()
    if library is None:
        yield
        return
    _keep(library, *_KEPT)
    try:
        yield
    finally:
        _keep(library, *_LEFT_ALONE)
        library.malloc_trim(0)


def _keep(library: ctypes.CDLL, largest: int, most: int) -> None:
    library.mallopt(_M_MMAP_THRESHOLD, largest)
    library.mallopt(_M_TRIM_THRESHOLD, most)


@cache
def _glibc() -> ctypes.CDLL | None:
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - raises where it is another C library
        return library
    return None
