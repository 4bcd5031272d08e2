"""Temperature scaling from sums (Guo et al. 2017, section 4.2): no site's images are pooled.

Every site sums its log-loss on a fixed grid of temperatures; the sums add, and the smallest total
tells the temperature that pooled data would have given.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from common.statistics.counts import UNIT

GRID = np.geomspace(0.25, 8.0, 65)
_LARGEST_LOSS = 100.0  # nats; bounds what one image can add


def temperature_sums(
    log_probabilities: NDArray[np.float64], truth: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sum -log softmax(log p / T)[truth] over images, for every T of the grid.

    Args:
        log_probabilities: float64 (n, classes).
        truth: int64 (n,).

    Returns:
        int64 (65,), in units of 2^-30.
    """
    sums = np.zeros(len(GRID), np.int64)
    rows = np.arange(len(truth))
    for i, temperature in enumerate(GRID):
        losses = -log_softmax(log_probabilities / temperature, axis=1)[rows, truth]
        sums[i] = np.rint(np.minimum(losses, _LARGEST_LOSS) / UNIT).astype(np.int64).sum()
    return sums


def largest_sum(examples: int) -> int:
    """Return the highest value that `temperature_sums` of so many images can hold."""
    return examples * int(_LARGEST_LOSS / UNIT)


def best_temperature(sums: NDArray[np.int64]) -> float:
    """Return the temperature of least total loss; 1 if there were no images.

    Between grid points by the parabola through the three best in log T.
    """
    if not sums.any():
        return 1.0
    at = int(np.argmin(sums))
    if at in (0, len(GRID) - 1):
        return float(GRID[at])
    left, middle, right = (float(s) for s in sums[at - 1 : at + 2])
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
    step = float(np.log(GRID[1] / GRID[0]))
    return float(np.exp(np.log(GRID[at]) + shift * step))


def calibrated(log_probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return probabilities softmax(log p / T), float64 (n, classes)."""
    found: NDArray[np.float64] = np.exp(log_softmax(log_probabilities / temperature, axis=1))
    return found
