"""Augmented views of a prepared image: what a smear may look like on another day."""

import cv2
import numpy as np
from numpy.typing import NDArray

from common.digests import digest_value
from common.seeds import stream
from common.study.augmentation import Augmentation

# Raised whenever the same settings begin to give other views: caches are keyed by it.
_VERSION = 1
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype=np.float32)

Image = NDArray[np.uint8]


def view(image: Image, number: int, settings: Augmentation, seed: int, key: str) -> Image:
    """Return one view of an image.

    View 0 is the image itself. Others are turned, mirrored, moved, enlarged and embossed as the
    settings say, and their stain is varied: each channel's optical density is scaled and shifted
    a little (Tellez et al. 2019 show that this matters more than the choice of network).

    Every variation is drawn whether it is used or not: switching one on or off, or changing its
    strength, leaves the others as they are.

    Args:
        image: uint8 (height, height, 3), RGB.
        number: which view.
        settings: the study's.
        seed: the study's `view_seed`.
        key: the image's digest, so that every image varies in its own way.

    Returns:
        uint8 (height, height, 3), RGB.
    """
    if number == 0:
        return image
    generator = stream(seed, "view", key, number)
    turns, is_mirrored = int(generator.integers(4)), generator.random() < 0.5
    gain, shift = generator.standard_normal(3), generator.standard_normal(3)
    angle, zoom, right, down = generator.uniform(-1, 1, size=4).tolist()
    relief = float(generator.random())
    if settings.quarter_turns:
        image = np.rot90(image, turns)
    if settings.flips and is_mirrored:
        image = image[:, ::-1]
    if settings.rotation or settings.panning or settings.zoom:
        image = _warped(
            np.ascontiguousarray(image),
            angle=angle * settings.rotation,
            zoom=(1.0 + settings.zoom) ** zoom,
            move=(right * settings.panning, down * settings.panning),
        )
    if settings.emboss:
        image = _embossed(np.ascontiguousarray(image), relief * settings.emboss)
    if settings.stain_gain or settings.stain_shift:
        image = _restained(image, 1.0 + settings.stain_gain * gain, settings.stain_shift * shift)
    return np.ascontiguousarray(image)


def augmentation_digest(settings: Augmentation) -> str:
    """Return what identifies views after the first, beside image, seed and number: SHA-256."""
    varied = settings.model_dump(mode="json", exclude={"seed"})
    return digest_value({"version": _VERSION, "augmentation": varied})


def _warped(image: Image, *, angle: float, zoom: float, move: tuple[float, float]) -> Image:
    """Turn by degrees and zoom about the centre, then move by shares of width and height."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom)
    matrix[:, 2] += (move[0] * width, move[1] * height)
    turned = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(turned, dtype=np.uint8)


def _embossed(image: Image, share: float) -> Image:
    relief = cv2.filter2D(image, -1, _EMBOSS, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.addWeighted(relief, share, image, 1.0 - share, 0.0), dtype=np.uint8)


def _restained(image: Image, gain: NDArray[np.float64], shift: NDArray[np.float64]) -> Image:
    """Scale and shift each channel's optical density -log((level + 1) / 256)."""
    density = -np.log((np.arange(256) + 1.0) / 256.0)
    tables = np.exp(-(density[:, None] * gain + shift)) * 256.0 - 1.0
    lookup = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
    return np.stack([lookup[image[..., channel], channel] for channel in range(3)], axis=-1)
