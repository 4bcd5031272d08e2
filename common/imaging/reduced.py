"""Smaller copies of large images, for what is found by its shape and needs no fine detail."""

import cv2
import numpy as np
from numpy.typing import NDArray


def reduced(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Shrink an image by area averaging until no side is longer; a small one is returned as it is.

    Args:
        image: uint8 (height, width, channels).
        longest: in pixels.
    """
    height, width = image.shape[:2]
    share = longest / max(height, width)
    if share >= 1.0:
        return image
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def enlarged(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Stretch a mask that was found on a reduced copy to the image's size, without new shapes."""
    if mask.shape == (height, width):
        return mask
    levels = mask.astype(np.uint8)
    stretched = cv2.resize(levels, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(stretched, dtype=np.bool_)
