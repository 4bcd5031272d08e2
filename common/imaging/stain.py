"""Stain normalisation: smears of different laboratories brought to the same colours.

Where an image holds too little for a method to go by, it is left as it is, and each method says
when. Nothing is learnt from other images: where a method leads to stands in the study.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from common.study.imaging import Imaging, MacenkoReference, ReinhardReference

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_BACKGROUND = 245.0
_DIMMEST = 51  # a fifth of the range: a channel whose background is darker has none
_FLATTEST = 0.5  # of lightness; a blank image's noise must not be stretched to a smear's contrast
_INCIDENT = 240.0  # light that passes the empty slide
_STAINED = 0.15  # least optical density, over the channels together, of what is stained
_ALPHA = 1.0  # percentile that stands for the extreme angle
_FEWEST = 0.001  # least share of stained pixels that two stains are told from
_SAMPLED = 2**18  # pixels, evenly spaced, from which the statistics of a larger image are taken
_STRIP = 2**18  # pixels that are floats at one time
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1.0) / np.float32(_INCIDENT))


@dataclass(frozen=True)
class StainAxes:
    """Two stains of an image.

    Args:
        stains: float64 (2, 3): optical density of red, green, blue per unit; rows of length 1,
            first the stain that takes less of the blue light.
        concentrations: float64 (2,): 99th percentile of each over all pixels.
    """

    stains: NDArray[np.float64]
    concentrations: NDArray[np.float64]


def normalised(image: Image, settings: Imaging) -> Image:
    """Normalise an image's stain as the settings say: uint8 (height, width, 3), RGB, both ways."""
    if settings.stain == "white_balance":
        return white_balance(image)
    if settings.stain == "reinhard":
        return reinhard(image, settings.reinhard)
    if settings.stain == "macenko":
        return macenko(image, settings.macenko)
    return image


def white_balance(image: Image) -> Image:
    """Scale each channel so that its 95th percentile becomes 245: the empty field turns white.

    An image with a channel whose 95th percentile is below 51 shows no empty field and is returned
    as it is.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    levels = np.arange(256, dtype=np.float64)
    tables = np.empty((1, 256, 3), dtype=np.uint8)
    for channel in range(3):
        counts = np.bincount(image[:, :, channel].ravel(), minlength=256)
        background = int(np.searchsorted(np.cumsum(counts), 0.95 * counts.sum()))
        if background < _DIMMEST:
            return image
        tables[0, :, channel] = np.clip(np.rint(levels * (_BACKGROUND / background)), 0, 255)
    return np.asarray(cv2.LUT(image, tables), dtype=np.uint8)


def reinhard(image: Image, reference: ReinhardReference) -> Image:
    """Give each axis of CIE Lab the reference's mean and deviation.

    Reinhard et al. 2001 (IEEE CG&A 21(5):34-41), eq. 10 and 11:

        x' = (x - mean(x)) * deviation_reference / deviation(x) + mean_reference

    The paper works in l-alpha-beta; we take CIE Lab (D65), as is usual since. An image whose
    lightness deviates by less than 0.5 is blank and returned as it is; a colour axis that deviates
    by less than 0.5 is only moved.

    Args:
        image: uint8 (height, width, 3), RGB.
        reference: where it leads to.
    """
    mean, deviation = _moments(_lab(_sampled(image)))
    if deviation[0] < _FLATTEST:
        return image
    gain = np.where(deviation < _FLATTEST, 1.0, np.array(reference.deviation) / deviation)
    shift = (np.array(reference.mean) - mean * gain).astype(np.float32)
    gain = gain.astype(np.float32)
    return _by_strips(image, lambda strip: 255.0 * _rgb(_lab(strip) * gain + shift))


def macenko(image: Image, reference: MacenkoReference) -> Image:
    """Replace an image's two stains by the reference's (Macenko et al. 2009, section 2).

    Optical density is -log((level + 1) / 240). The two stains are the 1st and 99th percentile of
    the angle in the plane of the two largest eigenvectors of the covariance of the stained pixels'
    density. Stained is what has a density of length .15 or more: a purple nucleus lets nearly all
    blue light pass, so that asking it of each channel, as for haematoxylin and eosin, would leave
    the nuclei out. With S the image's stains as columns, c their 99th percentiles, and the
    reference's R and r:

        density' = R diag(r / c) pinv(S) density

    What the two stains do not explain is dropped, as in the paper. An image is returned as it is
    if fewer than one pixel in a thousand is stained, or if its stains cannot be told apart.

    Args:
        image: uint8 (height, width, 3), RGB.
        reference: where it leads to.
    """
    found = stain_axes(image)
    if found is None:
        return image
    gain = np.array(reference.concentrations) / found.concentrations
    mixing = np.array(reference.stains).T @ np.diag(gain) @ np.linalg.pinv(found.stains.T)
    turn = mixing.astype(np.float32)

    def restained(strip: Image) -> Floats:
        density = cv2.transform(cv2.LUT(strip, _DENSITY), turn)
        density = np.maximum(density, -1.0)  # brighter than white already; less overflows
        return np.asarray(np.float32(_INCIDENT) * np.exp(-density), dtype=np.float32)

    return _by_strips(image, restained)


def stain_axes(image: Image) -> StainAxes | None:
    """Find an image's two stains; None where `macenko` would leave it as it is.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    density = _DENSITY[_sampled(image)].reshape(-1, 3).astype(np.float64)
    stained = density[np.linalg.norm(density, axis=1) >= _STAINED]
    if len(stained) < max(3, _FEWEST * len(density)):
        return None
    plane = np.linalg.eigh(np.cov(stained.T))[1][:, 1:]
    plane *= np.where(plane.sum(axis=0) < 0, -1.0, 1.0)  # a density is positive: no angle is cut
    across = stained @ plane
    angles = np.percentile(np.arctan2(across[:, 1], across[:, 0]), (_ALPHA, 100.0 - _ALPHA))
    stains = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T
    stains = stains[np.argsort(stains[:, 2] / np.abs(stains).sum(axis=1))]
    if abs(stains[0] @ stains[1]) > 0.999:
        return None
    concentrations = np.percentile(density @ np.linalg.pinv(stains), 99.0, axis=0)
    return StainAxes(stains, concentrations) if (concentrations > 0.01).all() else None


def reinhard_reference(images: Sequence[Image]) -> ReinhardReference:
    """Return the mean over images of the mean and deviation of each axis of Lab."""
    found = np.array([_moments(_lab(_sampled(image))) for image in images])
    mean, deviation = found.mean(axis=0).round(3).tolist()
    return ReinhardReference(mean=tuple(mean), deviation=tuple(deviation))


def macenko_reference(images: Sequence[Image]) -> MacenkoReference:
    """Return the mean over images of both stains (made unit length again) and concentrations.

    Images whose stains cannot be told apart do not count.
    """
    found = [axes for image in images if (axes := stain_axes(image)) is not None]
    stains = np.mean([axes.stains for axes in found], axis=0)
    stains = (stains / np.linalg.norm(stains, axis=1, keepdims=True)).round(4).tolist()
    concentrations = np.mean([axes.concentrations for axes in found], axis=0).round(4).tolist()
    return MacenkoReference(
        stains=(tuple(stains[0]), tuple(stains[1])), concentrations=tuple(concentrations)
    )


def _sampled(image: Image) -> Image:
    """Return evenly spaced pixels, uint8 (1, n, 3), or all of a small image."""
    pixels = image.reshape(1, -1, 3)
    return np.ascontiguousarray(pixels[:, :: -(-pixels.shape[1] // _SAMPLED)])


def _lab(image: Image) -> Floats:
    scaled = image.astype(np.float32) / np.float32(255.0)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab), dtype=np.float32)


def _rgb(lab: Floats) -> Floats:
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), dtype=np.float32)


def _moments(lab: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pixels = lab.reshape(-1, 3).astype(np.float64)
    return pixels.mean(axis=0), pixels.std(axis=0)


def _by_strips(image: Image, change: Callable[[Image], Floats]) -> Image:
    """Change every pixel by itself, a strip at a time, so that few are floats at one time."""
    changed = np.empty_like(image)
    for rows in _strips(image):
        changed[rows] = np.clip(np.rint(change(image[rows])), 0, 255)
    return changed


def _strips(image: Image) -> Iterator[slice]:
    height, width = image.shape[:2]
    rows = max(1, _STRIP // width)
    for start in range(0, height, rows):
        yield slice(start, start + rows)
