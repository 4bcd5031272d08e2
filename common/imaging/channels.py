"""The brightest and the darkest channel of every pixel, many times faster than along an axis."""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def brightest(image: Image) -> Image:
    """Return the largest of three channels, uint8 (height, width)."""
    first, second, third = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(first, second), third), dtype=np.uint8)


def darkest(image: Image) -> Image:
    """Return the smallest of three channels, uint8 (height, width)."""
    first, second, third = cv2.split(image)
    return np.asarray(cv2.min(cv2.min(first, second), third), dtype=np.uint8)
