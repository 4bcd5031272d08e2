"""Differences as whole numbers of 8 bits, with a float16 scale for each channel.

A value x of a channel is sent as q = rint(x / s), with s = max |x| / 127 of that channel, and read
as q * s: as in Seide et al. 2014, with 255 levels instead of two. Rounding is to nearest, without
chance: error feedback (`common.updates.coding`) corrects its bias, and its largest error is half
that of stochastic rounding (Alistarh et al. 2017).

An array's first axis counts its channels; a vector is one channel. All arrays together make one
array of codes and one of scales, in the order of their names.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Sizes = Mapping[str, tuple[int, ...]]
"""The shapes of arrays, by name."""

LEVELS = 127
SMALLEST_SCALE = np.float16(2.0**-24)
LARGEST_SCALE = np.float16(515.5)
"""127 of it are the largest multiple of a float16 that is a finite float16 itself."""


def quantised(values: Arrays) -> dict[str, NDArray[Any]]:
    """Return `codes`, int8, and `scales`, float16, of finite float32 arrays up to 65504 in size.

    Error bound: what `dequantised` reads differs from x by at most s / 2 + 2^-11 |x| + 2^-25, where
    max |x| / 127 <= s <= max |x| / 127 * (1 + 2^-10) + 2^-24. (At the end of the range, above
    65468, the largest values are cut, by less than 36.)
    """
    codes: list[NDArray[np.int8]] = [np.zeros(0, np.int8)]
    scales: list[NDArray[np.float16]] = [np.zeros(0, np.float16)]
    for rows in (_rows(values[name]) for name in sorted(values)):
        scale = _scale(np.abs(rows).max(axis=1, initial=0))
        q = np.rint(rows / scale.astype(np.float32)[:, None])
        codes.append(np.clip(q, -LEVELS, LEVELS).astype(np.int8).ravel())
        scales.append(scale)
    return {"codes": np.concatenate(codes), "scales": np.concatenate(scales)}


def dequantised(sent: Arrays, sizes: Sizes) -> dict[str, NDArray[np.float16]]:
    """Return the float16 arrays that codes and scales stand for.

    Their product has 18 bits, is exact in float32, and is rounded to float16 once: both ends read
    the same bits, and what is added up is float16, compressed or not.

    Args:
        sent: `codes` and `scales` of the lengths that `layout` tells.
        sizes: the shapes of the arrays.
    """
    found, code, channel = {}, 0, 0
    for name, shape in sorted(sizes.items()):
        rows, size = _channels(shape), prod(shape)
        scale = sent["scales"][channel : channel + rows].astype(np.float32)
        q = sent["codes"][code : code + size].astype(np.float32)
        with np.errstate(over="ignore"):  # whoever receives them looks whether they are finite
            read = (_rows(q.reshape(shape)) * scale[:, None]).astype(np.float16)
        found[name] = read.reshape(shape)
        code, channel = code + size, channel + rows
    return found


def layout(sizes: Sizes) -> dict[str, tuple[str, int]]:
    """Return type and length of each array that `quantised` makes of arrays of these shapes."""
    return {
        "codes": ("int8", sum(map(prod, sizes.values()))),
        "scales": ("float16", sum(map(_channels, sizes.values()))),
    }


def _scale(largest: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return the scale of each channel: the largest value fits into 127 of it."""
    exact = largest / np.float32(LEVELS)
    scale = exact.astype(np.float16)
    short = scale.astype(np.float32) < exact
    scale = np.where(short, np.nextafter(scale, np.float16(np.inf)), scale)
    return np.clip(scale, SMALLEST_SCALE, LARGEST_SCALE)  # of zeros alone, too, it is positive


def _rows(array: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = _channels(array.shape)
    return array.reshape(rows, array.size // max(rows, 1))


def _channels(shape: tuple[int, ...]) -> int:
    if not prod(shape):
        return 0
    return shape[0] if len(shape) > 1 else 1
