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
    pixels = np.concatenate([image.reshape(-1, 3), lab.reshape(-1, 3)], axis=1)
    low, high = np.percentile(pixels, (10, 90), axis=0)
    statistics = [pixels.mean(axis=0), pixels.std(axis=0), low, high]
    return np.stack(statistics, axis=1).ravel()
