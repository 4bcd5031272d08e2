"""A disk that can be filled: a small file system in memory, mounted where a party keeps its state.

Only root can mount one, and only on Linux.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_FILLER = ".filler"
_BLOCK = 1 << 16


class SmallDisk:
    """A mounted disk.

    Args:
        place: where it is mounted.
    """

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self) -> None:
        """Leave no room on it."""
        with suppress(OSError), (self.place / _FILLER).open("ab", buffering=0) as file:
            for block in (b"\0" * _BLOCK, b"\0" * 512, b"\0"):
                with suppress(OSError):
                    while True:
                        file.write(block)

    def make_room(self) -> None:
        """Free what `fill` took."""
        (self.place / _FILLER).unlink()


@cache
def can_mount() -> bool:
    """Whether a disk can be mounted here: it is tried."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder), 1):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount an empty disk over a folder, which is made if need be; unmount it at the end."""
    place.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=755"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True, capture_output=True
    )
    try:
        yield SmallDisk(place)
    finally:
        # Lazily: a process that is just ending may still hold a file.
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)
