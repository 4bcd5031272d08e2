"""What a cache folder holds of some images, and taking it out of there.

Whatever is kept of an image names it by its whole digest in hex, or by its path: shelves by their
keys, remembered findings by theirs or in what was found. A file of another kind that names one is
removed as a whole; all of a cache can be made again.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.data.remembered import load_remembered, save_remembered
from client.data.shelf import Shelf, is_shelf, keys_of, read_card, size_of
from common.errors import DataError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_BETWEEN = re.compile(r"[\r\n\t\0,;|\"]")
_LOCK = "lock"


@dataclass(frozen=True)
class Images:
    """Images, by the digests of their bytes and by where they lie."""

    digests: frozenset[str]
    paths: frozenset[str] = frozenset()
    others: bool = False
    """Meant are all images but those with these digests; then no path counts."""

    def holds(self, digest: str) -> bool:
        """Say whether an image is one of these."""
        return (digest in self.digests) != self.others

    def named_in(self, text: str) -> bool:
        """Say whether a text names one of these images, its path between quotes, commas or bars."""
        if any(map(self.holds, _DIGEST.findall(text))):
            return True
        return not self.paths.isdisjoint(_BETWEEN.split(text))


EVERYTHING = Images(frozenset(), others=True)


@dataclass
class Remnants:
    """What a cache holds, or held, of some images."""

    records: int = 0
    bytes: int = 0
    findings: int = 0
    files: int = 0
    digests: set[str] = field(default_factory=set)
    """Of the images of which there are records."""
    studies: set[str] = field(default_factory=set)
    """Digests of the studies that used these records."""


def remnants(folder: Path, images: Images) -> Remnants:
    """Count what a cache folder holds of some images; nothing is changed."""
    return _walked(folder, images, is_removed=False)


def remove_remnants(folder: Path, images: Images) -> Remnants:
    """Remove what a cache folder holds of some images; return what that was.

    The caller holds the folder's lock, so that no other process works with it.

    Raises:
        DataError: the folder cannot be written to.
    """
    try:
        return _walked(folder, images, is_removed=True)
    except OSError as error:
        raise DataError(
            f"the cache cannot be written to: {error.strerror}",
            fix="correct its permissions, then forget these images once more",
            local_detail=str(error.filename or folder),
        ) from error


def _walked(folder: Path, images: Images, *, is_removed: bool) -> Remnants:
    found = Remnants()
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_shelf(place):
            _shelf(place, images, found, is_removed=is_removed)
        else:
            for file in _files(place):
                _file(file, images, found, is_removed=is_removed)
    return found


def _shelf(folder: Path, images: Images, found: Remnants, *, is_removed: bool) -> None:
    keys, card = keys_of(folder), read_card(folder)
    theirs = [key for key in keys if images.holds(key[:64])]
    if theirs:
        found.records += len(theirs)
        found.bytes += size_of(folder) * len(theirs) // len(keys)
        found.digests.update(key[:64] for key in theirs)
        found.studies.update(card.studies if card else ())
    if not is_removed:
        return
    if images == EVERYTHING or (card is None and theirs):
        shutil.rmtree(folder)
    elif card is not None:
        Shelf(folder, card.shape, card.dtype).remove(theirs)  # what a kill left is cut off, too


def _files(place: Path) -> Iterator[Path]:
    if place.is_symlink():
        return
    if place.is_dir():
        yield from (path for path in sorted(place.rglob("*")) if path.is_file())
    elif place.name != _LOCK:
        yield place


def _file(file: Path, images: Images, found: Remnants, *, is_removed: bool) -> None:
    remembered = load_remembered(file)
    if remembered:
        theirs = [key for key, value in remembered.items() if _names(images, key, value)]
        found.findings += len(theirs)
        found.digests.update(key for key in theirs if _DIGEST.fullmatch(key))
        if is_removed and len(theirs) == len(remembered):
            file.unlink()
        elif is_removed and theirs:
            left = {key: value for key, value in remembered.items() if key not in set(theirs)}
            save_remembered(file, left)
    elif images.named_in(f"{file.name},{file.read_text(errors='replace')}"):
        found.files += 1
        if is_removed:
            file.unlink()


def _names(images: Images, key: str, value: Any) -> bool:
    if images == EVERYTHING or key in images.paths:
        return True
    return images.named_in(key) or images.named_in(json.dumps(value, ensure_ascii=False))
