"""The largest differences alone, and where they stand.

Top-k sparsification (Stich et al. 2018, Definition 2.2): of all values of all arrays, in the order
of their names, the k largest in size are sent, of equal ones the first; the others wait in the
residual of error feedback (`common.updates.coding`).

Where they stand is told by how many values are skipped before each: a byte below 255, after a byte
of 255 for each 255 skipped. The bytes are padded by 255 to the most that can be needed, so that
their number tells nothing and is known before they come.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Sizes = Mapping[str, tuple[int, ...]]
"""The shapes of arrays, by name."""
_SKIP = 255


def largest(values: Arrays, share: float) -> dict[str, NDArray[Any]]:
    """Return the largest `values`, float16, of float32 arrays, and the values `skipped`, uint8.

    Args:
        values: finite, up to 65504 in size.
        share: of the values, how many are sent; at least one.
    """
    flat = np.concatenate([np.zeros(0, np.float32), *(values[n].ravel() for n in sorted(values))])
    at = _largest(np.abs(flat), _kept(flat.size, share))
    gaps = np.diff(at, prepend=-1) - 1
    skipped = np.full(_most_skips(flat.size, at.size), _SKIP, np.uint8)
    skipped[np.arange(at.size) + np.cumsum(gaps // _SKIP)] = gaps % _SKIP
    return {"values": flat[at].astype(np.float16), "skipped": skipped}


def spread(sent: Arrays, sizes: Sizes) -> dict[str, NDArray[np.float16]]:
    """Return the float16 arrays that the values sent stand for, the others zero.

    Args:
        sent: `values` and `skipped` of the lengths that `layout` tells.
        sizes: the shapes of the arrays.

    Raises:
        ValueError: the places are not as many as the values, or beyond the arrays' end.
    """
    values, skipped = sent["values"], sent["skipped"]
    is_place = skipped != _SKIP
    at = np.cumsum(skipped, dtype=np.int64)[is_place] + np.arange(np.count_nonzero(is_place))
    total = sum(map(prod, sizes.values()))
    if at.size != values.size or (at.size and at[-1] >= total):
        raise ValueError("the places of the values are not those of so many")
    flat = np.zeros(total, np.float16)
    flat[at] = values
    found, start = {}, 0
    for name, shape in sorted(sizes.items()):
        found[name] = flat[start : start + prod(shape)].reshape(shape)
        start += prod(shape)
    return found


def layout(sizes: Sizes, share: float) -> dict[str, tuple[str, int]]:
    """Return type and length of each array that `largest` makes of arrays of these shapes."""
    total = sum(map(prod, sizes.values()))
    kept = _kept(total, share)
    return {"values": ("float16", kept), "skipped": ("uint8", _most_skips(total, kept))}


def _largest(size: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the places of the `count` largest, ascending; of equal ones the first."""
    if not count:
        return np.zeros(0, np.intp)
    least = np.partition(size, size.size - count)[size.size - count]
    chosen = size > least
    equal = np.flatnonzero(size == least)
    chosen[equal[: count - np.count_nonzero(chosen)]] = True
    return np.flatnonzero(chosen)


def _kept(total: int, share: float) -> int:
    return min(total, max(1, round(share * total)))


def _most_skips(total: int, kept: int) -> int:
    return kept + (total - kept) // _SKIP
