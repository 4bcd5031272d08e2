"""Colour without morphology: what a classifier could read from the stain alone."""

import cv2
import numpy as np
from numpy.typing import NDArray

COLOUR_STATISTICS = tuple(
    f"{channel}-{statistic}"
    for channel in ("red", "green", "blue", "lightness", "a", "b")
    for statistic in ("mean", "deviation", "10th percentile", "90th percentile")
)


def colour_statistics(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Summarise an image by 24 global colour statistics, named in `COLOUR_STATISTICS`.

    Mean, standard deviation, 10th and 90th percentile (linearly interpolated) of each RGB
    channel in 0..255, then of CIE Lab as OpenCV scales it to 8 bits. Nothing depends on where
    a pixel lies, so a classifier that does well on these has not looked at a cell.

    Args:
        image: uint8 (height, width, 3), RGB.

    Returns:
        float64 (24,).
    """
    lab = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2LAB)
    planes = [half[..., channel].ravel() for half in (image, lab) for channel in range(3)]
    return np.concatenate([_summary(np.bincount(plane, minlength=256)) for plane in planes])


def _summary(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return mean, deviation, 10th and 90th percentile of pixels counted by level, int64 (256,)."""
    levels, pixels = np.arange(256), int(counts.sum())
    mean = counts @ levels / pixels
    deviation = np.sqrt(counts @ (levels - mean) ** 2 / pixels)
    places = np.array([0.1, 0.9]) * (pixels - 1)
    below, above = np.floor(places), np.ceil(places)
    low, high = (np.searchsorted(counts.cumsum(), at, side="right") for at in (below, above))
    return np.array([mean, deviation, *(low + (high - low) * (places - below))])
