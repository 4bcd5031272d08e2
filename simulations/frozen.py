"""Features of frozen backbones for pictures that no study's settings describe.

`client.activations` computes the features of a study's images; an ablation also asks for pictures
with their nuclei painted over, or with a single kind of augmentation. Both go through the same
front, half-precision activations and tail, so a picture gives the same features either way.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client.activations import SOFTWARE, Progress, unwatched
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.site_config import Numerics
from client.training.numerics import (
    autocast,
    laid_out,
    measured,
    placed,
    settled_numerics,
    threads,
)
from common.digests import digest_arrays
from common.imaging.pipeline import to_model_input
from common.model.initial import build_branches
from common.model.network import Branch, front_digest, trained_arrays
from common.study.schema import Study

_BATCH = 16

Picture = Callable[[Example], NDArray[np.uint8]]
"""Draws an image as the backbones shall see it: uint8 (size, size, 3), RGB."""


@dataclass(frozen=True, eq=False)
class Backbones:
    """Backbones with pre-trained weights, and how and where this machine works with them."""

    branches: Sequence[Branch]
    cache: ActivationCache
    numerics: Numerics


@contextmanager
def opened(
    study: Study, weights: Path | None, folder: Path, limit_gb: float
) -> Iterator[Backbones]:
    """Build a study's backbones, and lend a cache for as long as the context lasts.

    Args:
        study: its network and image size.
        weights: folder of pre-trained weights.
        folder: of the cache, and of what is measured once of this machine.
        limit_gb: most disk that it may take, in units of 10^9 bytes.

    Raises:
        WeightsError: weights are missing.
        DataError: another process uses the folder.
    """
    cache = ActivationCache(folder, int(limit_gb * 1e9))
    try:
        branches = build_branches(study, weights)
        numerics = settled_numerics(
            "auto", folder / "numerics.json", lambda: measured(branches, study.imaging.size)
        )
        yield Backbones(branches, cache, numerics)
    finally:
        cache.close()


class FrozenFeatures:
    """Features with a memory.

    Args:
        backbones: what they pass through.
        progress: told how many pictures have passed, and of how many.
    """

    def __init__(self, backbones: Backbones, progress: Progress = unwatched) -> None:
        self._branches = backbones.branches
        self._cache = backbones.cache
        self._numerics = backbones.numerics
        self._progress = progress
        self._network = [
            [branch.architecture, front_digest(branch), digest_arrays(trained_arrays([branch], p))]
            for branch in self._branches
            for p in ("constants", "tails")
        ]

    def of(self, examples: Sequence[Example], what: object, draw: Picture) -> NDArray[np.float32]:
        """Return features float32 (n, width), of all backbones side by side.

        Args:
            examples: n images with their digests.
            what: plain data that names whatever the picture depends on beside the image.
            draw: called for pictures that are not remembered.
        """
        width = sum(branch.width for branch in self._branches)
        recipe = ["picture", what, self._network, self._numerics.model_dump(), SOFTWARE]
        shelf = self._cache.shelf(recipe, (width,), np.float32)
        missing = [example for example in examples if example.digest not in shelf]
        self._cache.make_room((shelf, len(missing)))
        done = 0
        with threads(self._numerics), placed(self._numerics, *self._branches):
            for some in _batches(missing):
                found = self._features(np.stack([draw(example) for example in some]))
                shelf.append([example.digest for example in some], found)
                done += len(some)
                self._progress(done, len(missing))
        return np.asarray(shelf.read([example.digest for example in examples]), dtype=np.float32)

    def _features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = laid_out(torch.from_numpy(to_model_input(pictures)), self._numerics)
        with torch.inference_mode(), autocast(self._numerics):
            parts = [
                branch.tail(laid_out(branch.front(pixels).half(), self._numerics))
                for branch in self._branches
            ]
            return torch.cat([part.float() for part in parts], dim=1).cpu().numpy()


def _batches(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), _BATCH):
        yield examples[start : start + _BATCH]
