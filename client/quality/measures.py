"""All measures of one image, as numbers that can be kept and compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.quality.focus import blur
from client.quality.light import Light, light
from client.quality.marks import Marks, marks
from client.quality.pixels import reduced
from client.quality.stain import Stain, stain

VERSION = 1
"""Raised whenever the same image begins to give other numbers."""


@dataclass(frozen=True)
class Measures:
    """What was measured of one image; units are those of its parts.

    Args:
        blur: see `client.quality.focus.blur`.
        light: exposure and background.
        stain: stain and nuclei.
        marks: what looks burnt in.
    """

    blur: float
    light: Light
    stain: Stain
    marks: Marks


def measure(image: NDArray[np.uint8]) -> Measures:
    """Measure an image: marks as it was decoded, all else at the working size.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    small = reduced(image)
    return Measures(blur(small), light(small), stain(small), marks(image))
