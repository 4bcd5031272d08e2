"""The pairs of images that show one field or are copies, found with all of a machine's cores.

Threads suffice: OpenCV and Pillow let go of Python's lock while they work. What each computes
depends on its images alone, so the pairs do not depend on the number of threads.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from client.data.fields.candidates import Candidates, candidates
from client.data.fields.copies import copies
from client.data.fields.features import RECORD, THUMBNAIL, features
from client.data.fields.geometry import ENOUGH, agreement
from client.data.fields.store import FieldStore
from common.digests import digest_file
from common.errors import DataError

_BATCH = 128  # images or pairs between two writes: what an interruption costs at most
Watch = Callable[[str, int, int], None]
"""Told what is done now, how much of it is done, and of how much."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Pair:
    """Two images of one field; `inliers` is 0 for copies that have too few keypoints."""

    first: Path
    second: Path
    inliers: int


@dataclass(frozen=True)
class Found:
    """What was found among a site's images."""

    pairs: tuple[Pair, ...]  # sorted by path
    unreadable: tuple[Path, ...]


def find_pairs(
    digests: dict[Path, str],
    store: FieldStore,
    watch: Watch = lambda _what, _done, _of: None,
    workers: int | None = None,
) -> Found:
    """Find every pair of images that overlap, or are copies, as far as geometry can tell.

    Args:
        digests: SHA-256 of each image's file.
        store: keeps what was computed.
        watch: shows progress.
        workers: threads; None: one per core.

    Raises:
        DataError: an image cannot be read from disk.
    """
    first_of: dict[str, Path] = {}
    for image in sorted(digests):
        first_of.setdefault(digests[image], image)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        unreadable = _look(first_of, store, pool, watch)
        known = [digest for digest in first_of if digest not in unreadable]
        found = _compared(known, store, pool, watch)
    pairs = {
        (first_of[known[one]], first_of[known[other]]): inliers
        for (one, other), inliers in found.items()
    }
    pairs |= _same_bytes(digests, first_of, store, unreadable)
    return Found(
        tuple(Pair(*images, inliers) for images, inliers in sorted(pairs.items())),
        tuple(image for image in sorted(digests) if digests[image] in unreadable),
    )


def digested(
    images: Sequence[Path],
    watch: Watch = lambda _what, _done, _of: None,
    workers: int | None = None,
) -> dict[Path, str]:
    """Digest images' files.

    Raises:
        DataError: one cannot be read from disk.
    """
    found: dict[Path, str] = {}
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for number, part in enumerate(_batches(images, _BATCH)):
            watch("files digested", number * _BATCH, len(images))
            try:
                found |= zip(part, pool.map(digest_file, part), strict=True)
            except OSError as error:
                raise _unreadable(error) from error
    watch("files digested", len(images), len(images))
    return found


def keypoint_blocks(digests: Sequence[str], store: FieldStore) -> Iterator[NDArray[np.uint8]]:
    """Yield the keypoints of images, so many at a time as memory does not notice."""
    for part in _batches(digests, 8 * _BATCH):
        yield store.keypoints(part)


def _look(
    first_of: dict[str, Path], store: FieldStore, pool: ThreadPoolExecutor, watch: Watch
) -> set[str]:
    """Find the keypoints of images that were not looked at yet; return those without any."""
    every = list(first_of)
    missing = [every[place] for place in store.missing(every)]
    unreadable: set[str] = set()
    for number, part in enumerate(_batches(missing, _BATCH)):
        watch("images looked at", number * _BATCH, len(missing))
        seen = list(pool.map(_features, [first_of[digest] for digest in part]))
        good = [place for place, one in enumerate(seen) if one is not None]
        unreadable |= {part[place] for place, one in enumerate(seen) if one is None}
        keypoints = np.array([one[0] for one in seen if one is not None], np.uint8)
        thumbnails = np.array([one[1] for one in seen if one is not None], np.uint8)
        store.keep(
            [part[place] for place in good],
            keypoints.reshape(-1, *RECORD),
            thumbnails.reshape(-1, THUMBNAIL, THUMBNAIL),
        )
    watch("images looked at", len(missing), len(missing))
    return unreadable


def _features(image: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    try:
        return features(image.read_bytes())
    except OSError as error:
        raise _unreadable(error) from error
    except DataError:
        return None


def _unreadable(error: OSError) -> DataError:
    return DataError(
        f"an image cannot be read from disk ({type(error).__name__})",
        fix="see that this user may read every image",
        local_detail=str(error),
    )


def _compared(
    digests: Sequence[str], store: FieldStore, pool: ThreadPoolExecutor, watch: Watch
) -> dict[tuple[int, int], int]:
    """Return the agreeing keypoints of each pair that shows one field."""
    wanted = candidates(
        keypoint_blocks(digests, store), pool, lambda done, of: watch("index", done, of)
    )
    inliers = _inliers(wanted, digests, store, pool, watch)
    found: dict[tuple[int, int], int] = {}
    for one, other, n in zip(wanted.first, wanted.second, inliers, strict=True):
        if n >= ENOUGH:
            found[int(one), int(other)] = max(n, found.get((int(one), int(other)), 0))
    thumbnails = [store.thumbnails(part) for part in _batches(digests, 8 * _BATCH)]
    small = np.concatenate([np.empty((0, THUMBNAIL, THUMBNAIL), np.uint8), *thumbnails])
    for one, other in copies(small).tolist():
        found.setdefault((one, other), 0)
    return found


def _inliers(
    wanted: Candidates,
    digests: Sequence[str],
    store: FieldStore,
    pool: ThreadPoolExecutor,
    watch: Watch,
) -> list[int]:
    """Compare the candidates that were not compared yet; return the agreement of all."""
    keys = [
        (digests[one], digests[other], bool(mirrored))
        for one, other, mirrored in zip(wanted.first, wanted.second, wanted.mirrored, strict=True)
    ]

    def compare(key: tuple[str, str, bool]) -> tuple[str, str, bool, int]:
        first, second = store.keypoints(key[:2])
        return *key, agreement(first, second, key[2]).inliers

    new = [key for key in keys if store.inliers(*key) is None]
    for number, part in enumerate(_batches(new, _BATCH)):
        watch("pairs compared", number * _BATCH, len(new))
        store.keep_pairs(list(pool.map(compare, part)))
    watch("pairs compared", len(new), len(new))
    return [store.inliers(*key) or 0 for key in keys]


def _same_bytes(
    digests: dict[Path, str], first_of: dict[str, Path], store: FieldStore, unreadable: set[str]
) -> dict[tuple[Path, Path], int]:
    """Pair each file with the first of the same bytes: all its keypoints agree."""
    found: dict[tuple[Path, Path], int] = {}
    for image in sorted(digests):
        first = first_of[digests[image]]
        if image != first and digests[image] not in unreadable:
            upright = store.keypoints([digests[image]])[0, 0]
            found[first, image] = int(upright[:, 32:36].any(axis=1).sum())
    return found


def _batches(values: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
