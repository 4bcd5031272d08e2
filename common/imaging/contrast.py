"""Contrast: retinex and histogram equalisation of lightness, colour left as it is."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_SCALES = (0.03, 0.16, 0.5)  # of the short side
_LOG = np.log(np.arange(256, dtype=np.float32) + 1.0)
_BAND = 2**20  # pixels looked up at once
_FAINTEST = 0.05  # span of the retinex; below it there is nothing to enhance
_CELL = 4.0  # a blur is computed where its sigma spans about so many pixels


def clahe(image: Image) -> Image:
    """Equalise Lab lightness by CLAHE, clip limit 2, 8 x 8 tiles (Zuiderveld 1994).

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    return _with_lightness(image, _equalised)


def camsr(image: Image) -> Image:
    """Apply contrast-adaptive multi-scale retinex to Lab lightness.

    Khan et al. 2025 (Front. Med. 12:1694024) name this step CAMSR and do not define it. Our
    reading, for lightness L in 0..255:

        R  = mean over s in {.03, .16, .5} of log(L + 1) - log(blur(L + 1, s * short side))
        R' = R stretched linearly, its 1st percentile to 0 and its 99th to 255, and clipped
        L' = (R' + CLAHE(L)) / 2

    An image whose R spans less than .05 between those percentiles shows an empty field and camera
    noise (smears span .2 and more): its lightness stays as it is.

    The Gaussian blurs mirror at the border. They are computed on reduced copies, which moves an
    output lightness by less than one level on average from the full computation.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    return _with_lightness(image, _retinex_and_clahe)


def _with_lightness(image: Image, change: Callable[[Image], Image]) -> Image:
    """Change Lab lightness, uint8 (height, width), and leave both colour axes as they are."""
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), dtype=np.uint8)
    lab[:, :, 0] = change(np.ascontiguousarray(lab[:, :, 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)


def _equalised(lightness: Image) -> Image:
    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(lightness), dtype=np.uint8)


def _retinex_and_clahe(lightness: Image) -> Image:
    retinex = _mean_log_blur(lightness)
    band = max(1, _BAND // lightness.shape[1])  # not all at once: an image can be large
    for start in range(0, len(lightness), band):
        rows = slice(start, start + band)
        np.subtract(_LOG[lightness[rows]], retinex[rows], out=retinex[rows])
    low, high = np.percentile(retinex, (1, 99))
    if high - low < _FAINTEST:
        return lightness
    retinex -= np.float32(low)
    retinex *= np.float32(255.0 / (high - low))
    retinex += np.float32(0.5)
    shown = np.clip(retinex, 0, 255, out=retinex).astype(np.uint8)
    both = cv2.addWeighted(shown, 0.5, _equalised(lightness), 0.5, 0.0)
    return np.asarray(both, dtype=np.uint8)


def _mean_log_blur(lightness: Image) -> NDArray[np.float32]:
    """Mean over the scales of log(blur(L + 1)), float32 (height, width)."""
    height, width = lightness.shape
    total = np.zeros((height, width), dtype=np.float32)
    for scale in _SCALES:
        total += cv2.resize(
            _log_blur(lightness, scale * min(height, width)),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
    total /= np.float32(len(_SCALES))
    return total


def _log_blur(lightness: Image, sigma: float) -> NDArray[np.float32]:
    """log(blur(L + 1, sigma)) on a reduced copy, float32 (smaller height, smaller width)."""
    height, width = lightness.shape
    reduction = max(1.0, sigma / _CELL)
    small = (max(1, round(width / reduction)), max(1, round(height / reduction)))
    reduced = cv2.resize(lightness, small, interpolation=cv2.INTER_AREA).astype(np.float32) + 1.0
    sigmas = [sigma * after / before for after, before in zip(small, (width, height), strict=True)]
    if reduction > 1.0:
        # Reducing and enlarging blur too: a box's variance 1/12 and a tent's 1/6, in small pixels.
        sigmas = [math.sqrt(s * s - 0.25) for s in sigmas]
    blurred = cv2.GaussianBlur(
        reduced, (0, 0), sigmaX=sigmas[0], sigmaY=sigmas[1], borderType=cv2.BORDER_REFLECT
    )
    return np.log(np.asarray(blurred, dtype=np.float32))
