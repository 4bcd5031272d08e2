"""What field finding remembers by an image's digest, so that an interruption loses nothing.

Keypoints, thumbnails and compared pairs lie in a folder of their own, which may be deleted at any
time.
"""

import fcntl
import os
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.fields import features
from client.data.shelf import Shelf
from common.errors import DataError

_VERSION = 2  # raised when what is computed changes otherwise than by the shape of a record
_KEY = 32  # of 64 characters of a digest: enough that no two images share them


class FieldStore:
    """Keypoints and thumbnails of images, and agreements of pairs. One process at a time.

    Args:
        folder: where they are kept.

    Raises:
        DataError: another process works with it, or it cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        name = f"{_VERSION}-{features.KEYPOINTS}-{features.THUMBNAIL}"
        place = folder / name  # thumbnails are images: nobody else may enter
        try:
            folder.mkdir(parents=True, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataError(
                f"keypoints cannot be kept ({type(error).__name__})",
                fix="correct the permissions of the cache folder, or name another",
                local_detail=str(error),
            ) from error
        self.close = weakref.finalize(self, os.close, lock)  # lets other processes use the folder
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                "another process is looking for fields with this cache folder",
                fix="wait until it has ended, or name another cache folder",
                local_detail=str(place),
            ) from error
        self._keypoints = Shelf(place / "keypoints", features.RECORD, np.uint8)
        side = features.THUMBNAIL
        self._thumbnails = Shelf(place / "thumbnails", (side, side), np.uint8)
        self._log = place / "pairs.txt"
        self._agreeing = _read_pairs(self._log)

    def missing(self, digests: Iterable[str]) -> list[int]:
        """Return the places of the digests whose image was not looked at yet."""
        return [
            place
            for place, digest in enumerate(digests)
            if digest[:_KEY] not in self._keypoints or digest[:_KEY] not in self._thumbnails
        ]

    def keep(
        self,
        digests: Sequence[str],
        keypoints: NDArray[np.uint8],
        thumbnails: NDArray[np.uint8],
    ) -> None:
        """Keep what was found in images."""
        keys = [digest[:_KEY] for digest in digests]
        for shelf, records in ((self._keypoints, keypoints), (self._thumbnails, thumbnails)):
            new = [place for place, key in enumerate(keys) if key not in shelf]
            shelf.append([keys[place] for place in new], records[new])

    def keypoints(self, digests: Sequence[str]) -> NDArray[np.uint8]:
        """Return the keypoints of images, uint8 (n, *`features.RECORD`)."""
        return self._keypoints.read([digest[:_KEY] for digest in digests])

    def thumbnails(self, digests: Sequence[str]) -> NDArray[np.uint8]:
        """Return the thumbnails of images, uint8 (n, 32, 32)."""
        return self._thumbnails.read([digest[:_KEY] for digest in digests])

    def inliers(self, first: str, second: str, mirrored: bool) -> int | None:
        """Return how many keypoints of a pair agree; None if it was not compared yet."""
        return self._agreeing.get(_pair(first, second, mirrored))

    def keep_pairs(self, found: Sequence[tuple[str, str, bool, int]]) -> None:
        """Keep how many keypoints of pairs agree."""
        new = {_pair(first, second, mirrored): n for first, second, mirrored, n in found}
        with self._log.open("a", encoding="utf-8") as log:
            log.writelines(f"{pair} {inliers} .\n" for pair, inliers in new.items())
        self._agreeing |= new


def _pair(first: str, second: str, mirrored: bool) -> str:
    return f"{first[:_KEY]} {second[:_KEY]} {int(mirrored)}"


def _read_pairs(log: Path) -> dict[str, int]:
    """Read the pairs; a line that a kill cut short is no pair, and is ended."""
    if not log.exists():
        log.touch()
    text = log.read_text(encoding="utf-8", errors="replace")
    if text and not text.endswith("\n"):
        with log.open("a", encoding="utf-8") as file:
            file.write("\n")
    lines = [line.split(" ") for line in text.splitlines()]
    whole = [cells for cells in lines if len(cells) == 5 and cells[4] == "." and cells[3].isdigit()]
    return {" ".join(cells[:3]): int(cells[3]) for cells in whole}
