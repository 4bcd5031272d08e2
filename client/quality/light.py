"""Light: what is clipped, how light the empty slide is, and of which colour."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from client.quality.pixels import lab

_DARK, _BRIGHT = 5, 250  # grey levels from which a camera tells no differences any more
_EMPTY = 90  # percentile of lightness above which most is empty slide, however dense the smear
_ALIKE = 0.5  # linear luminance to which a background is scaled before its colour is compared


@dataclass(frozen=True)
class Light:
    """How an image was lit and exposed.

    Args:
        dark: share of pixels all of whose channels are 5 or below, in 0..1.
        bright: share of pixels all of whose channels are 250 or above, in 0..1.
        lightness: L* of the background, in 0..100.
        a, b: a* and b* of the background, scaled to one luminance first, so that a shorter
            exposure is not another colour.
    """

    dark: float
    bright: float
    lightness: float
    a: float
    b: float


def light(image: NDArray[np.uint8]) -> Light:
    """Measure clipping and the background: the median of the lightest tenth of the pixels.

    Args:
        image: uint8 (height, width, 3), RGB, at the working size.
    """
    lightness = lab(image)[..., 0]
    empty = image[lightness >= np.percentile(lightness, _EMPTY)]
    background = np.median(empty, axis=0).astype(np.uint8)
    a, b = _tint(background)
    return Light(
        dark=float((image.max(axis=2) <= _DARK).mean()),
        bright=float((image.min(axis=2) >= _BRIGHT).mean()),
        lightness=float(lab(background[None, None])[0, 0, 0]),
        a=a,
        b=b,
    )


def _tint(colour: NDArray[np.uint8]) -> tuple[float, float]:
    """Return a* and b* of a colour (sRGB, uint8) once its luminance is `_ALIKE`."""
    coded = colour.astype(np.float32) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    if luminance == 0:
        return 0.0, 0.0
    scaled = (linear * (_ALIKE / luminance)).astype(np.float32)
    found = cv2.cvtColor(scaled[None, None], cv2.COLOR_LRGB2LAB)[0, 0]
    return float(found[1]), float(found[2])
