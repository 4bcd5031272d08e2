"""The site's cache: what was computed of images, so that each is decoded and passed once."""

import fcntl
import logging
import os
import shutil
import time
import weakref
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from client.data.shelf import Card, Shelf, disk, is_shelf, last_used, read_card, size_of
from common.digests import digest_value
from common.durations import duration
from common.errors import DataError

_SPARED = 10**9  # bytes of the disk that are left to what is needed
_LOG = logging.getLogger("leukofed.cache")


class ActivationCache:
    """The shelves of a site, together below a size limit.

    One process at a time works with a folder: two would overwrite each other's records.

    Args:
        folder: where the shelves are.
        limit_bytes: most disk they may take.
        approved: digests of the studies that are approved, as they are at any time: the records
            of others are removed first. None: nothing is known of it.

    Raises:
        DataError: another process works with the folder, or it cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        approved: Collection[str] | None = None,
    ) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._approved = approved
        self._open: dict[str, Shelf] = {}
        self._in_use: Counter[str] = Counter()
        with disk(folder):
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

    def shelf(
        self,
        what: object,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        holds: str = "records",
        study: Mapping[str, str] | None = None,
    ) -> Shelf:
        """Open the shelf of whatever its content depends on.

        What is returned is good until room is made next; `using` keeps it.

        Args:
            what: all that its content depends on: plain data, digested.
            shape: of a record.
            dtype: of a record.
            holds: what the records are, in words.
            study: digest and name of the study that uses it.
        """
        name = digest_value([what, list(shape), np.dtype(dtype).name])[:32]
        if name not in self._open:
            self._open[name] = Shelf(self.folder / name, shape, dtype, holds, study)
        self._open[name].describe(holds, study or {})
        self._open[name].touch()
        return self._open[name]

    @contextmanager
    def using(self, *shelves: Shelf) -> Iterator[None]:
        """See that these shelves are not removed within this context."""
        names = [shelf.folder.name for shelf in shelves]
        self._in_use.update(names)
        try:
            yield
        finally:
            self._in_use.subtract(names)

    def make_room(self, *wanted: tuple[Shelf, int]) -> None:
        """See that so many new records fit on each shelf, removing other shelves if need be.

        Those of studies that are no longer approved go first, then those unused for longest;
        never one that is in use, or wanted here.

        Raises:
            DataError: the limit is too small for the shelves in use.
        """
        if not self._has_room(wanted):
            needed = self._kept_bytes(wanted) + _bytes(wanted)
            raise DataError(
                f"the activation cache needs {needed / 1e9:.1f} GB, "
                f"its limit is {self.limit_bytes / 1e9:.1f} GB",
                fix="raise its limit (cache.limit_gb in the site file, --cache-gb in a "
                "simulation), or ask for fewer views",
                local_detail=str(self.folder),
            )

    def has_room_to_spare(self, *wanted: tuple[Shelf, int]) -> bool:
        """Make room as `make_room` does, and say whether there is enough, on the disk as well.

        For records that are good to have and not needed. Where there is not, nothing is removed.
        """
        free = shutil.disk_usage(self.folder).free
        return free >= _bytes(wanted) + _SPARED and self._has_room(wanted)

    def _has_room(self, wanted: tuple[tuple[Shelf, int], ...]) -> bool:
        needed = _bytes(wanted)
        if self._kept_bytes(wanted) + needed > self.limit_bytes:
            return False
        shelves = sorted(self._shelves(), key=self._order)
        held = sum(map(size_of, shelves))
        for folder in shelves:
            if held + needed <= self.limit_bytes:
                break
            if not self._stays(folder.name, wanted):
                held -= size_of(folder)
                self._remove(folder)
        return True

    def _stays(self, name: str, wanted: tuple[tuple[Shelf, int], ...]) -> bool:
        return self._in_use[name] > 0 or any(shelf.folder.name == name for shelf, _ in wanted)

    def _kept_bytes(self, wanted: tuple[tuple[Shelf, int], ...]) -> int:
        return sum(size_of(f) for f in self._shelves() if self._stays(f.name, wanted))

    def _shelves(self) -> list[Path]:
        return [folder for folder in self.folder.iterdir() if is_shelf(folder)]

    def _order(self, folder: Path) -> tuple[bool, int]:
        return self._is_wanted(read_card(folder)), last_used(folder)

    def _is_wanted(self, card: Card | None) -> bool:
        """Say whether a study that is approved has used a shelf; yes where that is not known."""
        if card is None or not card.studies or self._approved is None:
            return True
        return any(study in self._approved for study in card.studies)

    def _remove(self, folder: Path) -> None:
        card = read_card(folder)
        why = (
            "unused for longest" if self._is_wanted(card) else "its study is not approved any more"
        )
        _LOG.info(
            "to make room in the cache, %s were removed (%s; %.1f MB, last used %s ago); they are "
            "computed anew if they are needed",
            f"the {card.holds}" if card else "records", why, size_of(folder) / 1e6,
            duration(max(0.0, time.time() - last_used(folder) / 1e9)),
        )  # fmt: skip
        self._open.pop(folder.name, None)
        with disk(folder):
            shutil.rmtree(folder)


def _bytes(wanted: tuple[tuple[Shelf, int], ...]) -> int:
    return sum(records * shelf.record_bytes for shelf, records in wanted)
