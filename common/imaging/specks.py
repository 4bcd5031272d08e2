"""Pixels that no neighbour resembles: hot and dead ones of a camera, salt and pepper."""

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.channels import brightest

_FARTHEST = 40  # levels from the 3 x 3 median and from every neighbour


def without_specks(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace lone pixels by the median of their 3 x 3 pixels, channel by channel.

    A pixel is lone if, in some channel, it differs by more than 40 levels from that median and
    lies by more than 40 levels above, or below, all eight neighbours or all but one. Edges and
    thin lines of the smear are of more pixels than that, so they stay, and so does noise.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    median = np.asarray(cv2.medianBlur(image, 3), dtype=np.uint8)
    difference = np.asarray(cv2.absdiff(image, median), dtype=np.uint8)
    rows, columns = np.nonzero(brightest(difference) > _FARTHEST)
    if not len(rows):
        return image
    framed = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REFLECT_101)
    around = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    near = np.stack([framed[rows + y, columns + x] for y, x in around]).astype(np.int16)
    own = image[rows, columns].astype(np.int16)
    above = (own - near > _FARTHEST).sum(axis=0) >= len(around) - 1
    below = (near - own > _FARTHEST).sum(axis=0) >= len(around) - 1
    is_lone = ((above | below) & (difference[rows, columns] > _FARTHEST)).any(axis=1)
    cleaned = image.copy()
    cleaned[rows[is_lone], columns[is_lone]] = median[rows[is_lone], columns[is_lone]]
    return cleaned
