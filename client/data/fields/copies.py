"""Copies of one image: saved again, resized, turned by quarters or mirrored, found by thumbnail.

Geometry finds most copies too, except those of images with few corners (blurred, nearly empty).
The hash holds the signs of the 8 x 8 lowest frequencies of a thumbnail's cosine transform, as in
Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", with signs in
place of a median: then mirroring and transposing an image only flips and moves bits.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

_FREQUENCIES = 8
_PARTS = 4  # of 16 bits; two hashes that differ in three bits at most have one in common
_FULL = 64  # images with one part in common from which on it tells nothing
_LIKENESS = 0.97  # least correlation of two copies' thumbnails; of overlapping fields 0.9 is rare


def hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hash of each orientation of thumbnails uint8 (n, 32, 32): uint64 (n, 8).

    Bit 8 u + v is the sign of the frequency u down and v across; bit 0, the mean, is 0. Number
    4 t + 2 a + b stands for transposed if t, then turned upside down if a, mirrored if b.
    """
    low = [cv2.dct(one.astype(np.float32))[:_FREQUENCIES, :_FREQUENCIES] for one in thumbnails]
    waves = np.array(low, np.float32).reshape(-1, _FREQUENCIES, _FREQUENCIES)
    signs = np.zeros((len(waves), 8, _FREQUENCIES, _FREQUENCIES), bool)
    parity = np.arange(_FREQUENCIES) % 2 == 1
    for way in range(8):
        turned = waves.transpose(0, 2, 1) if way & 4 else waves
        flips = (parity[:, None] & bool(way & 2)) ^ (parity[None, :] & bool(way & 1))
        signs[:, way] = np.where(flips, -turned, turned) > 0
    signs[..., 0, 0] = False
    weights = np.uint64(1) << np.arange(_FREQUENCIES**2, dtype=np.uint64)
    flat = signs.reshape(len(thumbnails), 8, _FREQUENCIES**2)
    return np.asarray((flat * weights).sum(axis=-1, dtype=np.uint64))


def copies(thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find the pairs of copies among thumbnails uint8 (n, 32, 32): int64 (pairs, 2), sorted."""
    of_way = hashes(thumbnails)
    found = [
        (one, other)
        for one, other, way in sorted(_alike(of_way))
        if _likeness(thumbnails[one], oriented(thumbnails[other], way)) >= _LIKENESS
    ]
    return np.unique(np.array(found, np.int64).reshape(-1, 2), axis=0)


def oriented(thumbnail: NDArray[np.uint8], way: int) -> NDArray[np.uint8]:
    """Turn a thumbnail as `hashes` numbers it."""
    turned = thumbnail.T if way & 4 else thumbnail
    turned = turned[::-1] if way & 2 else turned
    return turned[:, ::-1] if way & 1 else turned


def _alike(of_way: NDArray[np.uint64]) -> set[tuple[int, int, int]]:
    """Find images that share a part of their hashes: the one, the other, the other's way."""
    shared: set[tuple[int, int, int]] = set()
    for part in range(_PARTS):
        values = (of_way >> np.uint64(16 * part)) & np.uint64(0xFFFF)
        for way in range(8):
            shared |= {
                (one, other, way)
                for one, other in _equal(values[:, 0], values[:, way])
                if one < other and int(of_way[one, 0] ^ of_way[other, way]).bit_count() < _PARTS
            }
    return shared


def _equal(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Yield places of equal values, unless a value stands in too many."""
    order = np.argsort(right, kind="stable")
    ranked = right[order]
    starts = np.searchsorted(ranked, left, side="left")
    ends = np.searchsorted(ranked, left, side="right")
    for one in np.flatnonzero((ends > starts) & (ends - starts <= _FULL)).tolist():
        for other in order[starts[one] : ends[one]].tolist():
            yield one, other


def _likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the correlation of two thumbnails; 0 where one is of one tone."""
    a, b = one.astype(np.float64) - one.mean(), other.astype(np.float64) - other.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
