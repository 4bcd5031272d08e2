"""Focus: how little an image loses when it is blurred once more."""

import cv2
import numpy as np
from numpy.typing import NDArray

from client.quality.pixels import grey

_TAPS = 9  # length of the mean filter, in pixels, as in the paper


def blur(image: NDArray[np.uint8]) -> float:
    """Measure the blur of an image, from 0 (sharp) to 1 (nothing but blur).

    The measure of Crete et al. 2007 (The blur effect: perception and estimation with a new
    no-reference perceptual blur metric, SPIE 6492, equations 1-7): with D the absolute
    differences of neighbours along an axis, and D' those of the image after a mean filter of
    nine pixels along it, blur = (sum D - sum max(0, D - D')) / sum D; the larger of both axes.
    A sharp image loses most of its differences, a blurred one keeps them. Being a ratio it does
    not depend on contrast or lightness, which a variance of the Laplacian does.

    Args:
        image: uint8 (height, width, 3), RGB, at the working size.
    """
    pixels = grey(image)
    return max(_along(pixels, 0), _along(pixels, 1)) if np.ptp(pixels) > 0 else 1.0


def _along(pixels: NDArray[np.float32], axis: int) -> float:
    kernel = (1, _TAPS) if axis == 0 else (_TAPS, 1)  # OpenCV: width, height
    sharp = np.abs(np.diff(pixels, axis=axis))
    again = np.abs(np.diff(np.asarray(cv2.blur(pixels, kernel)), axis=axis))
    total = float(sharp.sum())
    return (total - float(np.maximum(0, sharp - again).sum())) / total if total else 0.0
