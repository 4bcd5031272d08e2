"""What a site sends after training: float16 differences from the arrays that came down."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import RequestRefused

Arrays = Mapping[str, NDArray[Any]]


def difference(new: Arrays, old: Arrays) -> dict[str, NDArray[np.float16]]:
    """Return new - old as float16.

    Error bound: with d = new - old, rounded to float32, each value sent differs from d by at
    most max(2^-11 * |d|, 2^-25): half a unit in the last place of float16, or of its subnormals.

    Args:
        new: float32, the arrays after training.
        old: float32, the arrays that came down; the same names and shapes.

    Raises:
        RequestRefused: a difference is not finite, or beyond the range of float16 (65504).
            Clipping it would send an update that training did not make.
    """
    sent = {}
    for name in sorted(old):
        with np.errstate(over="ignore", invalid="ignore"):
            sent[name] = np.asarray(np.subtract(new[name], old[name]), dtype=np.float16)
    unfit = sum(int(np.count_nonzero(~np.isfinite(values))) for values in sent.values())
    if unfit:
        total = sum(values.size for values in sent.values())
        raise RequestRefused(
            f"training diverged: {unfit} of {total} values moved out of the range of float16",
            fix="lower the learning rate of this phase in the study",
        )
    return sent


def apply(old: Arrays, mean_difference: Arrays) -> dict[str, NDArray[np.float32]]:
    """Return old + mean_difference, summed in float64 and rounded to float32 once.

    With the mean weighted by examples this is the server's step of McMahan et al. 2017,
    Algorithm 1: sum_k n_k/n * w_k = w + sum_k n_k/n * (w_k - w).

    Args:
        old: float32, the global model.
        mean_difference: float64; the same names and shapes.
    """
    return {
        name: np.asarray(np.add(values, mean_difference[name], dtype=np.float64), dtype=np.float32)
        for name, values in old.items()
    }
