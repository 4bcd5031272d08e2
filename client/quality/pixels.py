"""Pixels as the measures look at them: at one working size, and as light or as CIE Lab."""

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_SIDE = 224
"""Shorter side at which an image is looked at, in pixels; close to what a network sees."""


def reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink an image to the working size by averaging areas; a smaller one stays as it is.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    height, width = image.shape[:2]
    factor = WORKING_SIDE / min(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def grey(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the luma of an RGB image: float32 (height, width) in 0..255."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def lab(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return CIE Lab (D65), float32 (height, width, 3): L* in 0..100, a* and b* around 0."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def balanced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale each channel so that its 95th percentile is 245: the background becomes grey."""
    white = np.percentile(image.reshape(-1, 3), 95, axis=0)
    return np.clip(image * (245 / np.maximum(white, 1)), 0, 255).astype(np.uint8)


def odd(length: float) -> int:
    """Return the odd number of pixels, 3 at least, that is nearest to a length."""
    return max(3, 2 * round((length - 1) / 2) + 1)
