"""Activations kept on disk, so that an image passes a frozen front once.

A shelf holds records of one shape, in one memory-mapped file, found by key (an image's digest and
a view). Records are appended in whole batches, the data before the keys, so a shelf is whole
again after a kill: what has no key is overwritten.
"""

import fcntl
import os
import shutil
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from common.digests import digest_value
from common.errors import DataError


class Shelf:
    """Records of one shape and dtype under string keys of one line."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._data = folder / "records.bin"
        self._keys = folder / "keys.txt"
        self._data.touch()
        self._keys.touch()
        self._position = {key: i for i, key in enumerate(self._intact_keys())}

    @property
    def record_bytes(self) -> int:
        """Bytes of one record."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __contains__(self, key: str) -> bool:
        return key in self._position

    def __len__(self) -> int:
        return len(self._position)

    def append(self, keys: Sequence[str], records: NDArray[Any]) -> None:
        """Store records (n, *shape) under n new keys.

        Raises:
            ValueError: a key is there already, or given twice.
            DataError: the disk refuses.
        """
        if len(set(keys)) < len(keys) or any(key in self for key in keys):
            raise ValueError("a record is stored once")
        start = len(self._position)
        with _disk(self.folder):
            with self._data.open("r+b") as file:
                file.seek(start * self.record_bytes)
                file.write(np.ascontiguousarray(records, dtype=self.dtype).tobytes())
            with self._keys.open("a", encoding="utf-8") as file:
                file.writelines(f"{key}\n" for key in keys)
        for offset, key in enumerate(keys):
            self._position[key] = start + offset

    def read(self, keys: Sequence[str]) -> NDArray[Any]:
        """Return the records (n, *shape) of n keys; every key must be there."""
        if not keys:
            return np.empty((0, *self.shape), self.dtype)
        rows = np.array([self._position[key] for key in keys])
        held = np.memmap(self._data, self.dtype, "r", shape=(len(self), *self.shape))
        return np.asarray(held[rows])

    def _intact_keys(self) -> list[str]:
        """Read the keys whose records were written; cut off what a kill left half written."""
        text = self._keys.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines()
        records = self._data.stat().st_size // self.record_bytes
        keys = whole[:records]
        if len(set(keys)) < len(keys):  # not what we write: positions cannot be trusted
            keys = []
        if len(keys) != len(whole) or not text.endswith("\n"):
            self._keys.write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
        return keys


class ActivationCache:
    """The shelves of a site, together below a size limit.

    One process at a time works with a folder: two would overwrite each other's records.

    Args:
        folder: where the shelves are.
        limit_bytes: most disk they may take.

    Raises:
        DataError: another process works with the folder, or it cannot be written to.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._open: dict[str, Shelf] = {}
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self.close = weakref.finalize(self, os.close, lock)  # lets other processes use the folder
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                "another process is using the activation cache",
                fix="wait until it has ended, or give this one a cache folder of its own",
                local_detail=str(folder),
            ) from error

    def shelf(self, what: object, shape: tuple[int, ...], dtype: DTypeLike) -> Shelf:
        """Open the shelf of whatever its content depends on: plain data, digested."""
        name = digest_value([what, list(shape), np.dtype(dtype).name])[:32]
        if name not in self._open:
            self._open[name] = Shelf(self.folder / name, shape, dtype)
        (self.folder / name / "keys.txt").touch()  # used now: evicted last
        return self._open[name]

    def make_room(self, *wanted: tuple[Shelf, int]) -> None:
        """See that so many new records fit on each shelf, removing those unused for longest.

        Raises:
            DataError: the limit is too small for the shelves in use.
        """
        needed = sum(records * shelf.record_bytes for shelf, records in wanted)
        shelves = sorted(
            (path for path in self.folder.iterdir() if (path / "keys.txt").is_file()),
            key=lambda path: (path / "keys.txt").stat().st_mtime_ns,
        )
        held = sum((path / "records.bin").stat().st_size for path in shelves)
        for path in shelves:
            if held + needed <= self.limit_bytes:
                return
            if path.name not in self._open:
                held -= (path / "records.bin").stat().st_size
                shutil.rmtree(path)
        if held + needed > self.limit_bytes:
            raise DataError(
                f"the activation cache needs {(held + needed) / 1e9:.1f} GB, "
                f"its limit is {self.limit_bytes / 1e9:.1f} GB",
                fix="raise its limit (cache.limit_gb in the site file, --cache-gb in a "
                "simulation), or ask for fewer views",
                local_detail=str(self.folder),
            )


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the activation cache cannot be written: {error.strerror}",
            fix="make room on its disk, correct its permissions, or name another cache folder",
            local_detail=f"{folder}: {error}",
        ) from error
