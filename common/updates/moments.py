"""Mean and scale of features over all sites, from sums that add exactly.

Standardising features by the federation's own mean and deviation conditions the dense layers'
training as scikit-learn's StandardScaler does on pooled data, and gives the same numbers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNIT = 2.0**-20  # of the sums: 1e4 images with features up to 1e3 stay below 2^63
_LIMIT = 1e3
_POWERS = {"sum": 1, "square": 2}
_FLOOR = 0.05  # of the median deviation: nearly constant features must not be blown up


def moment_sums(features: NDArray[np.float32]) -> dict[str, NDArray[np.int64]]:
    """Sum features (n, width), clipped to +-1000, and their squares, in units of 2^-20.

    Returns:
        `sum` and `square`, int64 (width,): they add over sites without rounding.
    """
    values = np.clip(features.astype(np.float64), -_LIMIT, _LIMIT)
    return {
        "sum": np.rint(values / UNIT).astype(np.int64).sum(axis=0),
        "square": np.rint(values**2 / UNIT).astype(np.int64).sum(axis=0),
    }


def moment_bounds(examples: int) -> dict[str, tuple[int, int]]:
    """Return the lowest and highest value that `moment_sums` of so many rows can hold."""
    highest = {name: examples * int(_LIMIT**power / UNIT) for name, power in _POWERS.items()}
    return {"sum": (-highest["sum"], highest["sum"]), "square": (0, highest["square"])}


def moments(sums: Mapping[str, NDArray[Any]], examples: int) -> dict[str, NDArray[np.float32]]:
    """Return `mean` and `scale` = 1 / deviation, float32 (width,), of `examples` images.

    A deviation below a twentieth of the median one counts as that much.
    """
    mean = sums["sum"] * UNIT / examples
    variance = np.maximum(sums["square"] * UNIT / examples - mean**2, 0)
    deviation = np.sqrt(variance)
    floor = max(_FLOOR * float(np.median(deviation)), 1e-6)
    return {
        "mean": mean.astype(np.float32),
        "scale": (1 / np.maximum(deviation, floor)).astype(np.float32),
    }
