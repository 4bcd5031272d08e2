"""From a decoded image to a model's input, as a study's imaging settings say."""

import cv2
import numpy as np
from numpy.typing import NDArray

from common.digests import digest_value
from common.imaging.contrast import camsr, clahe, white_balance
from common.study.imaging import Imaging

# Raised whenever the same settings begin to give other pixels: caches are keyed by it.
_VERSION = 1
_CONTRASTS = {"camsr": camsr, "clahe": clahe}


def prepare(image: NDArray[np.uint8], settings: Imaging) -> NDArray[np.uint8]:
    """Mask, crop, balance, enhance and resize one image, in this order.

    Mask and crop are both measured on the image as decoded. What is left is stretched to a
    square: by area averaging where that shrinks it, else by cubic interpolation. The same input
    gives the same bits, whatever the number of OpenCV's threads.

    Args:
        image: uint8 (height, width, 3), RGB.
        settings: the study's.

    Returns:
        uint8 (size, size, 3), RGB.
    """
    height, width = image.shape[:2]
    rows = _interval(settings.crop.top, 1.0 - settings.crop.bottom, height)
    columns = _interval(settings.crop.left, 1.0 - settings.crop.right, width)
    if settings.mask:
        image = _masked(image, settings, rows, columns)
    image = np.ascontiguousarray(image[rows, columns])
    if settings.white_balance:
        image = white_balance(image)
    if settings.contrast != "none":
        image = _CONTRASTS[settings.contrast](image)
    return _resized(image, settings.size)


def to_model_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn prepared images into x / 127.5 - 1, channels first.

    Args:
        images: uint8 (n, size, size, 3), RGB.

    Returns:
        float32 (n, 3, size, size) in [-1, 1].
    """
    count, height, width, channels = images.shape
    scaled = np.empty((count, channels, height, width), dtype=np.float32)
    np.divide(images.transpose(0, 3, 1, 2), np.float32(127.5), out=scaled)
    scaled -= 1.0
    return scaled


def preparation_digest(settings: Imaging) -> str:
    """Return what identifies prepared pixels beside the image itself: SHA-256, in hex."""
    return digest_value({"version": _VERSION, "imaging": settings.model_dump(mode="json")})


def _interval(start: float, stop: float, length: int) -> slice:
    """Pixels between two fractions of a length; at least one."""
    first = min(round(start * length), length - 1)
    return slice(first, max(first + 1, round(stop * length)))


def _masked(
    image: NDArray[np.uint8], settings: Imaging, rows: slice, columns: slice
) -> NDArray[np.uint8]:
    """Paint the rectangles with the median colour of what the crop leaves."""
    median = np.median(image[rows, columns].reshape(-1, 3), axis=0).astype(np.uint8)
    masked = image.copy()
    height, width = image.shape[:2]
    for rectangle in settings.mask:
        down = _interval(rectangle.top, rectangle.bottom, height)
        across = _interval(rectangle.left, rectangle.right, width)
        masked[down, across] = median
    return masked


def _resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    shrinks = height * width > size * size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), dtype=np.uint8)
