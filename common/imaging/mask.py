"""Parts of a picture painted over, so that nothing can be read there."""

import cv2
import numpy as np
from numpy.typing import NDArray

_LOOKED_AT = 3  # pixels around a gap that Telea's method goes by

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
    seen = image[mask if mask.all() else ~mask]
    painted = image.copy()
    painted[mask] = np.median(seen, axis=0).astype(np.uint8)
    return painted


def inpainted(image: Image, mask: Mask) -> Image:
    """Fill what is masked from what surrounds it (Telea 2004); all masked: as it is.

    Args:
        image: uint8 (height, width, 3), RGB.
        mask: bool (height, width).
    """
    if not mask.any() or mask.all():
        return image
    rows, columns = (_around(mask.any(axis=axis)) for axis in (1, 0))
    gap = mask[rows, columns].astype(np.uint8)
    filled = image.copy()
    filled[rows, columns] = cv2.inpaint(
        np.ascontiguousarray(image[rows, columns]), gap, _LOOKED_AT, cv2.INPAINT_TELEA
    )
    return filled


def _around(masked: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(masked)
    return slice(max(0, int(places[0]) - 2 * _LOOKED_AT), int(places[-1]) + 2 * _LOOKED_AT + 1)
