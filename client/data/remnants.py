"""What a cache folder holds of some images, and taking it out of there.

Shelves name an image by the first part of a key; remembered findings by a key or in what was found;
a store that lies in a folder with a lock of its own, in lines of text. All write the digest in hex,
in full or its first half, or the path. Whatever else lies in the folder was not written by this
software, and is left alone.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.data.remembered import load, save
from client.data.shelf import Shelf, is_shelf, keys_of, read_card, shelves_below, size_of
from common.errors import DataError
from common.whole_file import write_whole

_HALF = 32  # characters of a digest, by which no two images are mixed up
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?:[0-9a-f]{32})?(?![0-9a-f])")
_BETWEEN = re.compile(r"[\r\n\t\0,;|\"]")
_LOCK = "lock"
_DRAFTS = (".*.json.part", "**/.keys.txt.part", "**/.shelf.json.part")


@dataclass(frozen=True)
class Images:
    """Images, by the digests of their bytes and by where they lie."""

    digests: frozenset[str]
    paths: frozenset[str] = frozenset()
    others: bool = False
    """Meant are all images but those with these digests; then no path counts."""
    halves: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "halves", frozenset(digest[:_HALF] for digest in self.digests))

    def holds(self, digest: str) -> bool:
        """Say whether an image is one of these, by its digest or the first half of it."""
        return (digest[:_HALF] in self.halves) != self.others

    def named_in(self, text: str) -> bool:
        """Say whether a text names one of these images, its path between quotes, commas or bars."""
        if self == EVERYTHING or any(map(self.holds, _DIGEST.findall(text))):
            return True
        return not self.paths.isdisjoint(_BETWEEN.split(text))


EVERYTHING = Images(frozenset(), others=True)


@dataclass
class Remnants:
    """What a cache holds, or held, of some images."""

    records: int = 0
    bytes: int = 0
    findings: int = 0
    digests: set[str] = field(default_factory=set)
    """First halves of the digests of the images of which there is anything."""
    studies: set[str] = field(default_factory=set)
    """Digests of the studies that used these records."""


def remnants(folder: Path, images: Images) -> Remnants:
    """Count what a cache folder holds of some images; nothing is changed."""
    return _walked(folder, images, is_removed=False)


def remove_remnants(folder: Path, images: Images) -> Remnants:
    """Remove what a cache folder holds of some images; return what that was.

    The caller holds the folder's own lock.

    Raises:
        DataError: another process works with a store in it, or it cannot be written to.
    """
    try:
        with _locked(folder):
            for name in _DRAFTS:  # what a kill left
                for draft in folder.glob(name):
                    draft.unlink()
            return _walked(folder, images, is_removed=True)
    except OSError as error:
        raise DataError(
            f"the cache cannot be written to: {error.strerror}",
            fix="correct its permissions, then forget these images once more",
            local_detail=str(error.filename or folder),
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from the stores that lie in a cache folder."""
    with ExitStack() as held:
        for store in _stores(folder):
            lock = os.open(store / _LOCK, os.O_RDWR)
            held.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError(
                    "another process is using a store in the cache folder",
                    fix="wait until it has ended",
                    local_detail=str(store),
                ) from error
        yield


def _stores(folder: Path) -> list[Path]:
    """Find the folders, not the cache's own, that this software marked with a lock."""
    return [lock.parent for lock in sorted(folder.glob(f"*/**/{_LOCK}")) if lock.is_file()]


def _walked(folder: Path, images: Images, *, is_removed: bool) -> Remnants:
    found = Remnants()
    if not folder.is_dir():
        return found
    for shelf in shelves_below(folder):
        _shelf(shelf, images, found, is_removed=is_removed)
    for place in sorted(folder.glob("*.json")):
        _remembered(place, images, found, is_removed=is_removed)
    for store in _stores(folder):
        for place in sorted(store.iterdir()):
            if place.suffix == ".json":
                _remembered(place, images, found, is_removed=is_removed)
            elif place.suffix == ".txt" and not is_shelf(store):
                _lines(place, images, found, is_removed=is_removed)
    return found


def _shelf(folder: Path, images: Images, found: Remnants, *, is_removed: bool) -> None:
    keys, card = keys_of(folder), read_card(folder)
    theirs = [key for key in keys if images.holds(key.split("-")[0])]
    if theirs:
        found.records += len(theirs)
        found.bytes += size_of(folder) * len(theirs) // len(keys)
        found.digests.update(key[:_HALF] for key in theirs)
        found.studies.update(card.studies if card else ())
    if not is_removed:
        return
    if images == EVERYTHING or (card is None and theirs):
        shutil.rmtree(folder)
    elif card is not None:
        Shelf(folder, card.shape, card.dtype).remove(theirs)  # what a kill left is cut off, too


def _remembered(file: Path, images: Images, found: Remnants, *, is_removed: bool) -> None:
    remembered = load(file)
    theirs = {key for key, value in remembered.items() if _names(images, key, value)}
    found.findings += len(theirs)
    found.digests.update(key[:_HALF] for key in theirs if _DIGEST.fullmatch(key))
    if is_removed and theirs:
        left = {key: value for key, value in remembered.items() if key not in theirs}
        if left:
            save(file, left)
        else:
            file.unlink()


def _names(images: Images, key: str, value: Any) -> bool:
    if key in images.paths:
        return True
    return images.named_in(key) or images.named_in(json.dumps(value, ensure_ascii=False))


def _lines(file: Path, images: Images, found: Remnants, *, is_removed: bool) -> None:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    left = [line for line in lines if not images.named_in(line)]
    found.findings += len(lines) - len(left)
    if is_removed and len(left) < len(lines):
        write_whole(file, "".join(left).encode())
