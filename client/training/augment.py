"""Augmented views of a prepared image: what a smear may look like on another day."""

import numpy as np
from numpy.typing import NDArray

from common.seeds import stream

AUGMENTATION = 1  # raised whenever a view begins to look otherwise: caches are keyed by it
_STAIN_GAIN = 0.08  # standard deviation of the gain on each channel's optical density
_STAIN_SHIFT = 0.02  # standard deviation of its offset


def view(image: NDArray[np.uint8], number: int, seed: int, key: str) -> NDArray[np.uint8]:
    """Return one view of an image.

    View 0 is the image itself. Others are turned or mirrored (a smear has no upright), and
    their stain is varied: each channel's optical density is scaled and shifted a little
    (Tellez et al. 2019 show that this matters more than the choice of network).

    Args:
        image: uint8 (height, height, 3), RGB.
        number: which view.
        seed: the study's seed.
        key: the image's digest, so that every image varies in its own way.
    """
    if number == 0:
        return image
    generator = stream(seed, "view", key, number)
    turned = np.rot90(image, int(generator.integers(4)))
    if generator.random() < 0.5:
        turned = turned[:, ::-1]
    density = -np.log((np.arange(256) + 1.0) / 256.0)
    gain = generator.normal(1.0, _STAIN_GAIN, size=3)
    shift = generator.normal(0.0, _STAIN_SHIFT, size=3)
    tables = np.exp(-(density[:, None] * gain + shift)) * 256.0 - 1.0
    lookup = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
    return np.stack([lookup[turned[..., channel], channel] for channel in range(3)], axis=-1)
