"""Photographs that overlap: windows cut from larger generated smears."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.synthetic import draw_patient, random_traits, site_style, smear_field
from common.seeds import stream

Picture = NDArray[np.uint8]
SIDE = 224


@cache
def scene(number: int, tiles: int = 3, tile: int = 120) -> Picture:
    """Draw a piece of slide larger than a photograph, uint8 (side, side, 3), RGB.

    Generated fields hold few cells, so several of one patient are laid side by side.
    """
    generator = stream(17, "scene", number)
    style, patient = site_style(generator), draw_patient(generator, random_traits(generator))
    rows = [
        np.hstack([smear_field(generator, patient, style, tile) for _ in range(tiles)])
        for _ in range(tiles)
    ]
    return np.vstack(rows)


def window(picture: Picture, row: int, column: int) -> Picture:
    """Photograph a part of it."""
    return np.ascontiguousarray(picture[row : row + SIDE, column : column + SIDE])


def packed(picture: Picture, quality: int = 90) -> bytes:
    """Encode a picture as JPEG."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [int(cv2.IMWRITE_JPEG_QUALITY), quality])
    return data.tobytes()


def lit(picture: Picture, gain: float, offset: float) -> Picture:
    """Change the light."""
    return np.asarray(np.clip(picture * np.float32(gain) + offset, 0, 255), np.uint8)


def turned(picture: Picture, degrees: float) -> Picture:
    """Turn a picture about its middle, white where nothing was photographed."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    out = cv2.warpAffine(picture, matrix, (width, height), borderValue=(255, 255, 255))
    return np.asarray(out, np.uint8)
