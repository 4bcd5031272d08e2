"""What a coding leaves out of one update goes with a later one: error feedback.

With C a coding and D its reading, x_t = d_t + e_t is coded instead of the difference d_t, and
e_{t+1} = x_t - D(C(x_t)) stays behind, from e_0 = 0 (Seide et al. 2014; Karimireddy et al.
2019, Algorithm 2). So what was read and what is left add up to the differences:

    sum_t D(C(x_t)) + e_{T+1} = sum_t d_t

but for the rounding of float32: at most 2^-24 of x_t per round and value.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import LeukofedError, RequestRefused
from common.updates import int8, topk

Arrays = Mapping[str, NDArray[Any]]
Sizes = Mapping[str, tuple[int, ...]]
"""The shapes of arrays, by name."""
Way = Literal["int8", "topk"]
_LARGEST = float(np.finfo(np.float16).max)


class CodingError(LeukofedError):
    """Arrays are not what a coding makes."""


def fed_back(
    change: Arrays, carried: Arrays, way: Way, share: float
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float16]], dict[str, NDArray[np.float32]]]:
    """Code a change together with what is left of earlier ones.

    Args:
        change: float32 or float64.
        carried: float32, what the codings before left out; of a name that it lacks, nothing.
        way: how.
        share: of `topk`: of the values, how many are sent.

    Returns:
        What travels; what the other end reads; and what is left out, float32.

    Raises:
        RequestRefused: a value is not finite, or beyond the range of float16 (65504).
    """
    wanted = {}
    for name, values in change.items():
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.add(values, carried.get(name, 0.0), dtype=np.float64)
            wanted[name] = total.astype(np.float32)
    unfit = sum(int(np.count_nonzero(~(np.abs(a) <= _LARGEST))) for a in wanted.values())
    if unfit:
        count = sum(values.size for values in wanted.values())
        raise RequestRefused(
            f"training diverged: {unfit} of {count} values moved out of the range of float16",
            fix="lower the learning rate of this phase in the study",
        )
    sent = int8.quantised(wanted) if way == "int8" else topk.largest(wanted, share)
    read = decoded(sent, {name: values.shape for name, values in wanted.items()}, way, share)
    return sent, read, {name: values - read[name] for name, values in wanted.items()}


def layout(sizes: Sizes, way: Way, share: float) -> dict[str, tuple[str, int]]:
    """Return type and length of each array that a coding makes of arrays of these shapes."""
    return int8.layout(sizes) if way == "int8" else topk.layout(sizes, share)


def decoded(sent: Arrays, sizes: Sizes, way: Way, share: float) -> dict[str, NDArray[np.float16]]:
    """Return the differences that a coding stands for.

    Nothing is set up before it is known that the arrays have the types and lengths that the coding
    of these shapes has, to the value.

    Args:
        sent: as received.
        sizes: the shapes of the differences.
        way: of coding.
        share: of `topk`.

    Raises:
        CodingError: no coding makes such arrays, or they stand for values that are not finite.
    """
    expected = {
        name: (kind, (length,)) for name, (kind, length) in layout(sizes, way, share).items()
    }
    if {name: (array.dtype.name, array.shape) for name, array in sent.items()} != expected:
        raise CodingError(f"its arrays are not those of an update coded as {way}", fix=_FIX)
    if way == "int8":
        scales = sent["scales"]
        if not ((scales >= int8.SMALLEST_SCALE) & (scales <= int8.LARGEST_SCALE)).all():
            raise CodingError(
                f"its scales are not all between {int8.SMALLEST_SCALE:.3g} and "
                f"{int8.LARGEST_SCALE:g}",
                fix=_FIX,
            )
        read = int8.dequantised(sent, sizes)
    else:
        try:
            read = topk.spread(sent, sizes)
        except ValueError as error:
            raise CodingError(str(error), fix=_FIX) from error
    if not all(np.isfinite(values).all() for values in read.values()):
        raise CodingError("it stands for values that are not finite", fix=_FIX)
    return read


_FIX = "compare the leukofed versions at both ends, and their copies of the study"
