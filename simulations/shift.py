"""What a virtual site's laboratory and scanner do to its images: stain, blur, colours, JPEG."""

from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from common.study.strict import Strict

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Gain = Annotated[float, Field(ge=0, le=10)]
Entry = Annotated[float, Field(ge=-4, le=4)]
Row = tuple[Entry, Entry, Entry]

VERSION = 1  # raised whenever the same settings begin to give other pixels
# Optical density of red, green and blue per unit of dye: methylene blue and eosin of Giemsa's
# stain, as in G. Landini's vectors for ImageJ's colour deconvolution.
STAINS = np.array([[0.834750233, 0.513556283, 0.196330403], [0.092789, 0.954111, 0.283111]])
_INCIDENT = 240.0  # light that passes the empty slide, as in common.imaging.stain
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1.0) / np.float32(_INCIDENT))
_IDENTITY: tuple[Row, Row, Row] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


class Shift(Strict):
    """How a site's images differ from the dataset's; applied in the order of these settings."""

    blue: Gain = 1.0
    """Factor on how much of the blue dye there is: its optical density."""
    eosin: Gain = 1.0
    """Factor on how much of the red dye there is."""
    blur: float = Field(default=0.0, ge=0, le=50)
    """Standard deviation of the Gaussian by which the image is blurred, in its own pixels."""
    matrix: tuple[Row, Row, Row] = _IDENTITY
    """The scanner's colours: rows give the red, green and blue light that it records of the red,
    green and blue light that there is."""
    jpeg: int | None = Field(default=None, ge=1, le=100)
    """Quality with which the scanner compresses; null: not at all."""

    @model_validator(mode="after")
    def _does_something(self) -> "Shift":
        if self.model_dump() == Shift.model_construct().model_dump():
            raise ValueError("a shift that changes nothing: name what it does, or leave it out")
        return self


def encoded(image: Image, shift: Shift) -> bytes:
    """Return a shifted image as a file: a JPEG if the scanner compresses, else a PNG.

    Args:
        image: uint8 (height, width, 3), RGB.
        shift: the site's.
    """
    shifted = recoloured(blurred(restained(image, shift.blue, shift.eosin), shift.blur), shift)
    pixels = np.ascontiguousarray(shifted[..., ::-1])
    if shift.jpeg is None:
        return bytes(cv2.imencode(".png", pixels)[1])
    return bytes(cv2.imencode(".jpg", pixels, [int(cv2.IMWRITE_JPEG_QUALITY), shift.jpeg])[1])


def restained(image: Image, blue: float, eosin: float) -> Image:
    """Scale the optical density of each of two dyes (Ruifrok and Johnston 2001, eq. 1 to 3).

    With d = -log((level + 1) / 240) the density of a pixel and S the dyes' densities as columns,
    the dyes' amounts are c = pinv(S) d, and

        d' = d + S diag(gain - 1) c

    So what the two dyes do not explain stays as it is, and gains of 1 change nothing.

    Args:
        image: uint8 (height, width, 3), RGB.
        blue: gain of methylene blue.
        eosin: gain of eosin.
    """
    if blue == eosin == 1:
        return image
    dyes = STAINS.T / np.linalg.norm(STAINS, axis=1)
    turn = np.eye(3) + dyes @ np.diag([blue - 1, eosin - 1]) @ np.linalg.pinv(dyes)
    density = cv2.transform(_DENSITY[image], turn.astype(np.float32))
    light = np.float32(_INCIDENT) * np.exp(-np.maximum(density, -1.0)) - 1.0
    return _levels(light)


def blurred(image: Image, sigma: float) -> Image:
    """Blur by a Gaussian of this standard deviation in pixels; 0 does nothing."""
    if not sigma:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def recoloured(image: Image, shift: Shift) -> Image:
    """Apply the scanner's matrix to linear light (sRGB's transfer curve, IEC 61966-2-1)."""
    if shift.matrix == _IDENTITY:
        return image
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    light = cv2.transform(linear.astype(np.float32)[image], np.array(shift.matrix, np.float32))
    light = np.clip(light, 0, 1)
    told = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return _levels(255 * told)


def _levels(values: NDArray[np.floating[Any]]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
