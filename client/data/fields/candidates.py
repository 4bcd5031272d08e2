"""Which pairs of images are worth comparing, found without comparing all.

Locality-sensitive hashing (Indyk and Motwani 1998): in each of several tables keypoints whose
descriptors are equal in some randomly chosen bits fall into one bucket. Two keypoints of a bucket
that are alike in all bits too say how one image would lie over the other; pairs of images for which
a few say the same are candidates. Work grows little faster than the number of images: the more
there are, the more bits make a bucket; and a bucket that is too full to be one spot of a slide (a
scale bar, the rim of a red cell) is nearly passed over, like a stop word.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from client.data.fields.features import directions, positions
from common.seeds import stream

_TABLES = 24  # a pair of keypoints meets in one or two; of the pairs of images one in fifty is lost
_BITS, _BITS_AT, _BITS_MORE = 32, 2**17, 3  # of a bucket; for so many keypoints; per doubling
_MOST_BITS = 60
_FULL = 32  # keypoints in a bucket from which on it is a stop word
_WINDOW = 4  # of such a bucket, each keypoint meets the next few: forty copies stay a chain
_ALIKE = 40  # most bits in which two keypoints that vote differ
_AGREE = 3  # votes for one pose that make a candidate; two fall together by chance
_AGREE_MIRRORED = 5  # mirrored copies are rare, and mostly whole; chance is as frequent as upright
_TURNS, _SHIFT = 12, 80.0  # size of a pose: parts of a turn, pixels; half overlapping
_MOST = 40  # candidates of an image, those with most votes

_PIECE = 2**16  # pairs of keypoints that a thread compares at a time
_ELECTED = 512  # images whose votes are counted at a time
_NONE = np.empty(0, np.int64)
_Kind = TypeVar("_Kind", bound=np.generic)
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Candidates:
    """Pairs of images worth comparing, sorted.

    Args:
        first, second: int64 (n,), numbers of images, `first` below `second`.
        mirrored: bool (n,), whether the first image's mirror image lies over the second.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


@dataclass(frozen=True)
class _Index:
    """The keypoints of all images in one row."""

    images: int
    words: NDArray[np.uint64]  # (n, 4), descriptors
    owner: NDArray[np.int32]  # (n,), image
    mirrored: NDArray[np.bool_]  # (n,)
    points: NDArray[np.float32]  # (n, 2), from about the middle of the working size
    angles: NDArray[np.float32]  # (n,)


def candidates(
    blocks: Iterable[NDArray[np.uint8]], pool: ThreadPoolExecutor, watch: Watch
) -> Candidates:
    """Find the pairs worth comparing; the same for the same images in the same order.

    Args:
        blocks: keypoints of the images, uint8 (images, *`features.RECORD`), one after another.
        pool: its threads compare descriptors.
        watch: told how many tables are done, and of how many.
    """
    index = _index(blocks)
    tables: list[NDArray[np.int64]] = []
    for table in range(_TABLES if len(index.owner) else 0):
        watch(table, _TABLES)
        tables.append(np.sort(np.concatenate([_NONE, *_meetings(index, table, pool)])))
    watch(_TABLES, _TABLES)
    elected = list(_elected(index, tables))
    names = np.concatenate([_NONE, *(names for names, _ in elected)])
    votes = np.concatenate([_NONE, *(votes for _, votes in elected)])
    return _best(names, votes, index.images)


def _index(blocks: Iterable[NDArray[np.uint8]]) -> _Index:
    words, owners = [np.empty((0, 4), np.uint64)], [np.empty(0, np.int32)]
    sides, points = [np.empty(0, bool)], [np.empty((0, 2), np.float32)]
    angles = [np.empty(0, np.float32)]
    images = 0
    for block in blocks:
        owner, side, row = np.nonzero(block[..., 32:36].any(axis=-1))
        rows = block[owner, side, row]
        words.append(np.ascontiguousarray(rows[:, :32]).view(np.uint64))
        owners.append((owner + images).astype(np.int32))
        sides.append(side.astype(bool))
        points.append(positions(rows) - np.float32(160))
        angles.append(directions(rows))
        images += len(block)
    return _Index(
        images, _joined(words), _joined(owners), _joined(sides), _joined(points), _joined(angles)
    )


def _joined(parts: list[NDArray[_Kind]]) -> NDArray[_Kind]:
    """Join arrays, and let go of them: at no time are all kept twice."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _meetings(index: _Index, table: int, pool: ThreadPoolExecutor) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of like keypoints that share a bucket, as number of one times n plus the other.

    The upright one comes second; of two upright ones that of the later image does.
    """
    keys = _keys(index.words, table)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sizes = np.diff(np.append(starts, len(keys)))
    full = np.repeat(sizes > _FULL, sizes)
    for step in range(1, _FULL):
        same = keys[step:] == keys[:-step]
        if step > _WINDOW:
            same &= ~full[step:]
        at = np.flatnonzero(same)
        if not len(at):
            return
        pieces = [at[start : start + _PIECE] for start in range(0, len(at), _PIECE)]
        yield from pool.map(
            lambda at, step=step: _alike(index, order[at], order[at + step]), pieces
        )


def _keys(words: NDArray[np.uint64], table: int) -> NDArray[np.uint64]:
    """Choose eight bytes of the descriptors, and of these as many bits as the index needs."""
    generator = stream(0, "fields", "table", table)
    doublings = np.log2(max(len(words), _BITS_AT) / _BITS_AT)
    bits = min(_MOST_BITS, _BITS + round(_BITS_MORE * float(doublings)))
    chosen = np.sort(generator.choice(32, 8, replace=False))
    mask = sum(1 << int(bit) for bit in generator.choice(64, bits, replace=False))
    picked = np.ascontiguousarray(words.view(np.uint8).reshape(len(words), 32)[:, chosen])
    return np.asarray(picked.view(np.uint64).ravel() & np.uint64(mask))


def _alike(index: _Index, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep pairs of different images, not both mirrored, whose whole descriptors are alike."""
    swap = index.mirrored[other] | (~index.mirrored[one] & (index.owner[one] > index.owner[other]))
    first, second = np.where(swap, other, one), np.where(swap, one, other)
    fit = ~index.mirrored[second] & (index.owner[first] != index.owner[second])
    first, second = first[fit], second[fit]
    apart = np.bitwise_count(index.words[first] ^ index.words[second]).sum(axis=1)
    near = apart <= _ALIKE
    return np.asarray(first[near] * len(index.owner) + second[near])


def _elected(
    index: _Index, tables: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs of images with enough votes for one pose, and their votes, some at a time."""
    n = len(index.owner)
    for start in range(0, index.images, _ELECTED):
        span = np.searchsorted(index.owner, (start, start + _ELECTED)) * n
        cuts = [np.searchsorted(table, span) for table in tables]
        ballots = [table[low:high] for table, (low, high) in zip(tables, cuts, strict=True)]
        yield _counted(index, np.unique(np.concatenate([_NONE, *ballots])))


def _counted(
    index: _Index, ballots: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the votes of each pair of images for one pose.

    A pair is named 2 (images a + b) + m: image a, mirrored if m, over image b.
    """
    first, second = np.divmod(ballots, max(len(index.owner), 1))
    pair = index.owner[first].astype(np.int64) * index.images + index.owner[second]
    turn = index.angles[second] - index.angles[first]
    x, y = index.points[first].T
    shift = index.points[second] - np.stack(
        [np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], axis=1
    )
    names, which = np.unique(pair * 2 + index.mirrored[first], return_inverse=True)
    most = np.zeros(len(names), np.int64)
    for half in (0.0, 0.5):
        turns = np.floor(turn / (2 * np.pi) * _TURNS + half).astype(np.int64) % _TURNS
        cells = np.floor(shift / _SHIFT + half).astype(np.int64) + 32
        pose = ((which * _TURNS + turns) * 64 + cells[:, 0]) * 64 + cells[:, 1]
        poses, votes = np.unique(pose, return_counts=True)
        np.maximum.at(most, poses // (_TURNS * 64 * 64), votes)
    enough = most >= np.where(names % 2 == 1, _AGREE_MIRRORED, _AGREE)
    return names[enough], most[enough]


def _best(names: NDArray[np.int64], votes: NDArray[np.int64], images: int) -> Candidates:
    """Keep the pairs that are among those with most votes of either image."""
    pair, mirrored = np.divmod(names, 2)
    a, b = np.divmod(pair, images)
    keep = np.zeros(len(names), bool)
    for owner in (a, b):
        order = np.lexsort((names, -votes, owner))
        starts = np.searchsorted(owner[order], owner[order], side="left")
        keep[order[np.arange(len(order)) - starts < _MOST]] = True
    low, high = np.minimum(a, b)[keep], np.maximum(a, b)[keep]
    # Mirrored and compared the other way round is the same pair: the mirror of a turn.
    code = np.unique((low * images + high) * 2 + mirrored[keep])
    pair, mirrored = np.divmod(code, 2)
    return Candidates(*np.divmod(pair, images), mirrored.astype(bool))
