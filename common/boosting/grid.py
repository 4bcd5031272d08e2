"""The public grid of bin edges: how a feature's value becomes a small whole number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, DataError

MAX_LEVELS = 256  # a bin number is a uint8


@dataclass(frozen=True, eq=False)
class Grid:
    """Bin edges shared by all features; part of the study, so they tell nothing about a row.

    A value's bin is the number of edges that are not above it. Hence `bin <= b` says the same as
    `value < edges[b]`, which is how XGBoost sends a row to the left child.
    """

    edges: NDArray[np.float32]  # shape (levels - 1,), strictly ascending

    @property
    def levels(self) -> int:
        """Number of bins."""
        return len(self.edges) + 1


def log_grid(lowest: float, highest: float, levels: int) -> Grid:
    """Space edges evenly in the logarithm.

    Bin 0 holds everything below `lowest`, so the zeros of a ReLU are not mixed with small positive
    values; the last bin holds everything from `highest` on.

    Args:
        lowest: first edge, above 0.
        highest: last edge.
        levels: number of bins, 3 to 256; there is one edge fewer.

    Raises:
        ConfigError: the edges do not ascend once rounded to float32.
    """
    if not (0 < lowest < highest and 3 <= levels <= MAX_LEVELS):
        raise ConfigError(
            f"no grid of {levels} levels between {lowest} and {highest}",
            fix=f"set grid.lowest above 0 and below grid.highest, and 3 to {MAX_LEVELS} levels",
        )
    edges = np.geomspace(lowest, highest, levels - 1).astype(np.float32)
    if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ConfigError(
            f"float32 cannot tell {levels} levels between {lowest} and {highest} apart",
            fix="set grid.lowest and grid.highest further apart, or fewer grid.levels",
        )
    return Grid(edges)


def bin_features(features: NDArray[np.float32], grid: Grid) -> NDArray[np.uint8]:
    """Replace each value by its bin.

    Args:
        features: float32 (n, features); float32 because XGBoost compares float32 values.
        grid: the study's grid.

    Returns:
        uint8 (n, features) in [0, levels).

    Raises:
        DataError: a value is not a number; XGBoost would call it missing, we have no such bin.
    """
    if np.isnan(features).any():
        raise DataError(
            f"{np.isnan(features).any(axis=1).sum()} of {len(features)} feature rows hold NaN",
            fix="check the model's parameters and the images they were computed from",
        )
    bins = np.searchsorted(grid.edges, features.astype(np.float32, copy=False), side="right")
    return bins.astype(np.uint8)
