"""Stained nuclei by their colour: for inspection and for finding them, never to train on.

A mask's outline follows the stain's tone, which differs between classes and slides; images cut out
by such masks give their class away (docs/data.md).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.reduced import enlarged, reduced
from common.imaging.stain import white_balance
from common.study.imaging import Nuclei

_LONGEST = 1024  # a nucleus of a field this large still spans dozens of pixels


def nuclei(image: NDArray[np.uint8], thresholds: Nuclei) -> NDArray[np.bool_]:
    """Find stained nuclei by thresholds in HSV.

    The image is white-balanced and lightly blurred. A pixel counts if its hue lies in the stated
    range and its saturation is above both the stated one and Otsu's threshold of the image's
    saturation (Otsu 1979). Lone pixels are removed and holes filled (opening and closing by 3 x 3
    pixels), and pieces smaller than the stated area do not count. Of a large image, a copy of 1024
    pixels is looked at.

    Args:
        image: uint8 (height, width, 3), RGB.
        thresholds: the study's.

    Returns:
        bool (height, width).
    """
    height, width = image.shape[:2]
    small = white_balance(reduced(image, _LONGEST))
    hsv = cv2.cvtColor(cv2.GaussianBlur(small, (3, 3), 0), cv2.COLOR_RGB2HSV)
    hue, saturation, _ = cv2.split(np.asarray(hsv, dtype=np.uint8))
    first, last = (degrees / 2.0 for degrees in thresholds.hue)  # OpenCV counts half degrees
    above, below = hue >= first, hue <= last
    is_hue = above & below if first <= last else above | below
    otsu, _ = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    is_stained = saturation >= max(otsu, 255.0 * thresholds.saturation)
    return enlarged(_whole(is_hue & is_stained, thresholds.area), height, width)


def _whole(found: NDArray[np.bool_], area: float) -> NDArray[np.bool_]:
    """Remove specks, fill holes, and leave out pieces smaller than a share of the image."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    mask = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    kept = [o for o in outlines if cv2.contourArea(o) >= area * found.size]
    filled = cv2.drawContours(np.zeros_like(mask), kept, -1, 1, thickness=cv2.FILLED)
    return np.asarray(filled, dtype=np.bool_)
