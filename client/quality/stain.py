"""Stain and nuclei: how much is purple, how strongly and of which hue, and how large nuclei are."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from client.quality.pixels import WORKING_SIDE, balanced, lab, odd

# Azure B and eosin Y bind to nuclei together and make them purple, the Romanowsky effect
# (Horobin 2011, How Romanowsky stains work and why they remain valuable, Biotech. Histochem. 86).
# From blue-violet to magenta, in degrees; red cells lie outside, grey-blue ones too.
_PURPLE = (240.0, 330.0)
_LEAST_SATURATION = 0.15  # a share; paler is no nucleus
_OPENING = 5.0  # diameter of what is too small to be a nucleus, in pixels of the working size
_GRAIN = 2.0  # standard deviation that smooths a camera's grain, in the same pixels
_LEAST_RADIUS = 2.5  # in the same pixels


@dataclass(frozen=True)
class Stain:
    """How an image is stained.

    Args:
        purple: share of pixels in the Romanowsky range of hue and saturation, in 0..1.
        hue: median hue of these pixels, in degrees; None: there are none.
        strength: distance in a* and b* from the background that 1 % of the pixels exceed, where
            grain is smoothed away.
        nuclei: share of pixels in purple patches as large as a nucleus, in 0..1.
        diameter: of the usual nucleus, as a share of the image's shorter side; None: none.
    """

    purple: float
    hue: float | None
    strength: float
    nuclei: float
    diameter: float | None


def stain(image: NDArray[np.uint8]) -> Stain:
    """Measure stain and nuclei, after the background was made grey.

    A nucleus's diameter is twice a peak of the distance to the rim of its patch, which holds
    for nuclei that touch as well; the usual one is the median of all peaks weighted by area.

    Args:
        image: uint8 (height, width, 3), RGB, at the working size.
    """
    image = balanced(image)
    hue, saturation, _ = cv2.split(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV))
    purple = (hue >= _PURPLE[0]) & (hue <= _PURPLE[1]) & (saturation >= _LEAST_SATURATION)
    side = min(image.shape[:2])
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, 2 * [odd(_OPENING * side / WORKING_SIDE)])
    opened = cv2.morphologyEx(purple.astype(np.uint8), cv2.MORPH_OPEN, shape)
    patches: NDArray[np.uint8] = np.asarray(
        cv2.morphologyEx(opened, cv2.MORPH_CLOSE, shape), np.uint8
    )
    diameter = _diameter(patches)
    return Stain(
        purple=float(purple.mean()),
        hue=float(np.median(hue[purple])) if purple.any() else None,
        strength=_strength(image),
        nuclei=float(patches.mean()),
        diameter=None if diameter is None else diameter / side,
    )


def _strength(image: NDArray[np.uint8]) -> float:
    grain = _GRAIN * min(image.shape[:2]) / WORKING_SIDE
    pixels = np.asarray(cv2.GaussianBlur(lab(image), (0, 0), grain))
    lightness = pixels[..., 0]
    background = np.median(pixels[lightness >= np.percentile(lightness, 90)], axis=0)
    away = np.hypot(pixels[..., 1] - background[1], pixels[..., 2] - background[2])
    return float(np.percentile(away, 99))


def _diameter(patches: NDArray[np.uint8]) -> float | None:
    """Return the usual diameter of patches, uint8 (height, width) of 0 and 1, in pixels."""
    walled = cv2.copyMakeBorder(patches, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = np.asarray(cv2.distanceTransform(walled, cv2.DIST_L2, 5))
    unit = min(patches.shape) / WORKING_SIDE
    around = np.ones(2 * [odd(11 * unit)], np.uint8)
    peaks = (distance >= cv2.dilate(distance, around)) & (distance >= _LEAST_RADIUS * unit)
    radii = np.sort(distance[peaks])
    if not len(radii):
        return None
    area = np.cumsum(radii**2)
    return 2 * float(radii[np.searchsorted(area, area[-1] / 2)])
