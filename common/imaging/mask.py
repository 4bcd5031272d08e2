"""Parts of a picture painted over, so that nothing can be read there."""

import cv2
import numpy as np
from numpy.typing import NDArray

_NARROWEST = 3  # below, OpenCV's inpainting reads beside the image, each time something else
_LOOKED_AT = 3  # pixels around a gap that Telea's method goes by
_ROWS = 256  # counted at a time: OpenCV counts in float32, exact to 2^24 pixels

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def painted_over(image: Image, mask: Mask) -> Image:
    """Paint what is masked with the median colour of the rest; of all, if all is masked.

    Args:
        image: uint8 (height, width, 3), RGB.
        mask: bool (height, width).
    """
    if not mask.any():
        return image
    painted = image.copy()
    painted[mask] = _median_colour(image, mask if mask.all() else ~mask)
    return painted


def inpainted(image: Image, mask: Mask) -> Image:
    """Fill what is masked from what surrounds it (Telea 2004); all masked: as it is.

    An image of one or two pixels' width or height has no surroundings: it is painted over instead.

    Args:
        image: uint8 (height, width, 3), RGB.
        mask: bool (height, width).
    """
    if not mask.any() or mask.all():
        return image
    if min(mask.shape) < _NARROWEST:
        return painted_over(image, mask)
    rows, columns = (_around(mask, axis) for axis in (1, 0))
    gap = mask[rows, columns].astype(np.uint8)
    filled = image.copy()
    filled[rows, columns] = cv2.inpaint(
        np.ascontiguousarray(image[rows, columns]), gap, _LOOKED_AT, cv2.INPAINT_TELEA
    )
    return filled


def _median_colour(image: Image, seen: Mask) -> NDArray[np.uint8]:
    """Return the median of each channel, rounded down, from counts: no pixel is copied."""
    counts = np.zeros((3, 256), dtype=np.int64)
    for start in range(0, len(image), _ROWS):
        part, where = image[start : start + _ROWS], seen[start : start + _ROWS].astype(np.uint8)
        for channel in range(3):
            levels = cv2.calcHist([part], [channel], where, [256], [0, 256])
            counts[channel] += np.rint(np.ravel(levels)).astype(np.int64)
    below, total = np.cumsum(counts, axis=1), int(counts[0].sum())
    middle = [[np.searchsorted(b, n, side="right") for n in ((total - 1) // 2, total // 2)]
              for b in below]  # fmt: skip
    return np.asarray(np.sum(middle, axis=1) // 2, dtype=np.uint8)


def _around(mask: Mask, axis: int) -> slice:
    places = np.flatnonzero(mask.any(axis=axis))
    return slice(max(0, int(places[0]) - 2 * _LOOKED_AT), int(places[-1]) + 2 * _LOOKED_AT + 1)
