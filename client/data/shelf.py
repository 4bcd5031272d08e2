"""A shelf of the cache: records of one shape in one memory-mapped file, found by key.

Records are appended in whole batches, the data before the keys, so a shelf is whole again after a
kill: what has no key is cut off when the shelf is opened next.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from common.errors import DataError
from common.study.strict import Strict
from common.whole_file import write_whole

_KEYS = "keys.txt"
_DATA = "records.bin"
_CARD = "shelf.json"


class Card(Strict):
    """What stands on a shelf, for those who look at the folder and not into the code."""

    holds: str
    """In words."""
    shape: tuple[int, ...]
    dtype: str
    studies: dict[str, str]
    """Studies that have used it: digest to name; empty where it belongs to no study."""


class Shelf:
    """Records of one shape and dtype under string keys of one line.

    A key is the digest of the image that the record was made of, or its first half, and what else
    it takes behind a dash: so it is found when an image is to be forgotten.

    Args:
        folder: is made; it holds records, keys and a card.
        shape: of a record.
        dtype: of a record.
        holds: what the records are, in words, for the card.
        study: digest and name of the study that uses them.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        holds: str = "",
        study: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._data = folder / _DATA
        self._keys = folder / _KEYS
        self._data.touch()
        self._keys.touch()
        self._position = {key: i for i, key in enumerate(self._intact_keys())}
        self._card = read_card(folder)
        if holds or self._card is None:
            self.describe(holds or "records", study or {})

    @property
    def record_bytes(self) -> int:
        """Bytes of one record."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __contains__(self, key: str) -> bool:
        return key in self._position

    def __len__(self) -> int:
        return len(self._position)

    def __iter__(self) -> Iterator[str]:
        return iter(self._position)

    def append(self, keys: Sequence[str], records: NDArray[Any]) -> None:
        """Store records (n, *shape) under n new keys.

        Raises:
            ValueError: a key is there already, or given twice.
            DataError: the disk refuses.
        """
        if len(set(keys)) < len(keys) or any(key in self for key in keys):
            raise ValueError("a record is stored once")
        start = len(self._position)
        with disk(self.folder):
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

    def remove(self, keys: Collection[str]) -> int:
        """Remove the records of these keys, as far as they are there; return how many.

        Their bytes are overwritten or cut off. A process killed meanwhile leaves an empty shelf:
        nothing can then be taken for another image's.

        Raises:
            DataError: the disk refuses.
        """
        gone = {key for key in keys if key in self}
        if not gone:
            return 0
        rows = list(self._position)
        left = len(rows) - len(gone)
        holes = [i for i, key in enumerate(rows[:left]) if key in gone]
        movers = [i for i in range(left, len(rows)) if rows[i] not in gone]
        with disk(self.folder):
            write_whole(self._keys, b"")
            with self._data.open("r+b") as file:
                for hole, mover in zip(holes, movers, strict=True):
                    file.seek(mover * self.record_bytes)
                    record = file.read(self.record_bytes)
                    file.seek(hole * self.record_bytes)
                    file.write(record)
                    rows[hole] = rows[mover]
                file.truncate(left * self.record_bytes)
            write_whole(self._keys, "".join(f"{key}\n" for key in rows[:left]).encode())
        self._position = {key: i for i, key in enumerate(rows[:left])}
        return len(gone)

    def describe(self, holds: str, study: Mapping[str, str]) -> None:
        """Write on the shelf's card what it holds, and one more study that uses it."""
        studies = {**(self._card.studies if self._card else {}), **study}
        shape, dtype = tuple(int(n) for n in self.shape), self.dtype.name
        new = Card(holds=holds, shape=shape, dtype=dtype, studies=studies)
        if new != self._card:
            with disk(self.folder):
                write_whole(self.folder / _CARD, new.model_dump_json().encode())
            self._card = new

    def touch(self) -> None:
        """Note that the shelf is used now: it is removed later than those used before."""
        self._keys.touch()

    def _intact_keys(self) -> list[str]:
        """Read the keys whose records were written; cut off what a kill left half written."""
        text = self._keys.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines()
        size = self._data.stat().st_size
        keys = whole[: size // self.record_bytes]
        if len(set(keys)) < len(keys):  # not what we write: positions cannot be trusted
            keys = []
        if len(keys) != len(whole) or not text.endswith("\n"):
            self._keys.write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
        if size > len(keys) * self.record_bytes:
            with self._data.open("r+b") as file:
                file.truncate(len(keys) * self.record_bytes)
        return keys


def read_card(folder: Path) -> Card | None:
    """Read the card of a shelf's folder; None if it has none, as one of an older version."""
    try:
        return Card.model_validate(json.loads((folder / _CARD).read_bytes()))
    except (OSError, ValueError):
        return None


def is_shelf(folder: Path) -> bool:
    """Say whether a folder is a shelf."""
    return (folder / _KEYS).is_file() and (folder / _DATA).is_file()


def shelves_below(folder: Path) -> list[Path]:
    """Return the shelves in a cache folder, those of stores in its subfolders as well."""
    if not folder.is_dir():
        return []
    return [keys.parent for keys in sorted(folder.rglob(_KEYS)) if is_shelf(keys.parent)]


def size_of(folder: Path) -> int:
    """Return the bytes of a shelf's records."""
    return (folder / _DATA).stat().st_size


def last_used(folder: Path) -> int:
    """Return when a shelf was used last, in nanoseconds since 1970."""
    return (folder / _KEYS).stat().st_mtime_ns


def keys_of(folder: Path) -> list[str]:
    """Return the keys of a shelf's records without opening it."""
    return (folder / _KEYS).read_text(encoding="utf-8").splitlines()


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses within this context into one error.

    Raises:
        DataError: the cache cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the activation cache cannot be written: {error.strerror}",
            fix="make room on its disk, correct its permissions, or name another cache folder",
            local_detail=f"{folder}: {error}",
        ) from error
