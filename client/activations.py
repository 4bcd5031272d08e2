"""Images to activations to features: each computed once, then read from the site's cache."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import PIL
import timm
import torch
from numpy.typing import NDArray

from client.data.cache import ActivationCache, Shelf
from client.data.manifest import Example
from client.pulse import Pulse, no_pulse
from client.site_config import Numerics
from client.training.augment import augmentation_digest, view
from client.training.numerics import autocast, laid_out
from common.errors import DataError
from common.imaging.decode import decode
from common.imaging.pipeline import preparation_digest, prepare, to_model_input
from common.model.network import Branch, front_digest
from common.study.schema import Study

# Every batch has this many images, filled up with repeats: an image's activations then do not
# depend on which images were missing from the cache beside it.
_FRONT_BATCH = 16
_TAIL_BATCH = 32
SOFTWARE = [np.__version__, cv2.__version__, PIL.__version__, torch.__version__, timm.__version__]

Wanted = tuple[Example, int]  # an image, and the number of its view
Progress = Callable[[int, int], None]
"""Told how many views have passed the frozen fronts, and of how many."""


def unwatched(done: int, of: int) -> None:
    """Show nothing."""


class Extractor:
    """The frozen path of one study on this machine.

    Args:
        study: imaging, network and seed.
        branches: built for this study.
        cache: where activations and features are kept.
        numerics: how this machine computes.
        progress: watches the one long job, the pass through the frozen fronts.
        pulse: called before every batch.
    """

    def __init__(
        self,
        study: Study,
        branches: Sequence[Branch],
        cache: ActivationCache,
        numerics: Numerics,
        progress: Progress = unwatched,
        pulse: Pulse = no_pulse,
    ) -> None:
        self.study = study
        self.branches = branches
        self.cache = cache
        self.numerics = numerics
        self.progress = progress
        self.pulse = pulse
        self.front_digests = {branch.architecture: front_digest(branch) for branch in branches}
        # Whatever changes an activation stands in its recipe, or two studies would share it.
        self._recipes = [
            [backbone.model_dump(mode="json"), self.front_digests[branch.architecture],
             preparation_digest(study.imaging), numerics.model_dump(),
             augmentation_digest(study.augmentation), SOFTWARE]
            for branch, backbone in zip(branches, study.network.backbones, strict=True)
        ]  # fmt: skip
        self._shelves: list[Shelf] = []

    def draw(
        self,
        branch: int,
        examples: Sequence[Example],
        images: NDArray[np.int64],
        views: NDArray[np.int64],
    ) -> NDArray[Any]:
        """Return front activations float16 (n, channels, height, width) of images and views."""
        keys = [self._key(examples[i], int(v)) for i, v in zip(images, views, strict=True)]
        return self._front_shelves()[branch].read(keys)

    def fill(self, examples: Sequence[Example], views: int) -> None:
        """Pass every view of every image that is not yet cached through the frozen fronts.

        Raises:
            DataError: the cache's limit is too small, or an image was lost since it was scanned.
        """
        self._fill([(example, number) for example in examples for number in range(views)])

    def _fill(self, wanted: Sequence[Wanted]) -> None:
        shelves = self._front_shelves()
        missing = [w for w in wanted if any(self._key(*w) not in shelf for shelf in shelves)]
        self.cache.make_room(
            *((shelf, sum(self._key(*w) not in shelf for w in missing)) for shelf in shelves)
        )
        with ThreadPoolExecutor(2) as decoders:
            done = 0
            for some, images in _ahead(decoders, missing, self.study):
                self.pulse()
                self._store(shelves, some, images)
                done += len(some)
                self.progress(done, len(missing))

    def features(
        self, examples: Sequence[Example], views: int, tail_digest: str
    ) -> NDArray[np.float32]:
        """Return concatenated features float32 (images, views, width) of the tails as loaded.

        Args:
            examples: the images.
            views: how many views of each.
            tail_digest: names what the tails hold now; the key under which features are kept.
        """
        parts = []
        for branch, recipe in zip(self.branches, self._recipes, strict=True):
            shelf = self.cache.shelf(["features", recipe, tail_digest], (branch.width,), np.float32)
            wanted = [(example, number) for example in examples for number in range(views)]
            missing = [w for w in wanted if self._key(*w) not in shelf]
            if missing:
                self.cache.make_room((shelf, len(missing)))
                for some, found in self._forward(branch, missing):
                    shelf.append([self._key(*w) for w in some], found)
            rows = shelf.read([self._key(*w) for w in wanted])
            parts.append(rows.reshape(len(examples), views, branch.width))
        return np.concatenate(parts, axis=2)

    def features_now(self, branch: Branch, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Return features float32 (images, branch width) of the images themselves, uncached."""
        found = [rows for _, rows in self._forward(branch, [(e, 0) for e in examples])]
        return np.concatenate(found) if found else np.empty((0, branch.width), np.float32)

    def _forward(
        self, branch: Branch, wanted: Sequence[Wanted]
    ) -> Iterator[tuple[Sequence[Wanted], NDArray[np.float32]]]:
        """Yield features batch by batch, from front activations, which are filled first."""
        self._fill(wanted)
        shelf = self._front_shelves()[self.branches.index(branch)]
        with torch.inference_mode(), autocast(self.numerics):
            for some in _batches(wanted, _TAIL_BATCH):
                self.pulse()
                activations = _filled_up(shelf.read([self._key(*w) for w in some]), _TAIL_BATCH)
                batch = laid_out(torch.from_numpy(activations).float(), self.numerics)
                yield some, branch.tail(batch).float().numpy()[: len(some)]

    def _store(
        self, shelves: Sequence[Shelf], wanted: Sequence[Wanted], images: NDArray[Any]
    ) -> None:
        pixels = torch.from_numpy(to_model_input(_filled_up(images, _FRONT_BATCH)))
        keys = [self._key(*w) for w in wanted]
        for branch, shelf in zip(self.branches, shelves, strict=True):
            fresh = [i for i, key in enumerate(keys) if key not in shelf]
            if fresh:
                with torch.inference_mode(), autocast(self.numerics):
                    found = branch.front(laid_out(pixels, self.numerics)).half().numpy()
                shelf.append([keys[i] for i in fresh], found[fresh])

    def _front_shelves(self) -> list[Shelf]:
        if not self._shelves:
            size = self.study.imaging.size
            with torch.inference_mode():
                probe = torch.zeros(1, 3, size, size)
                shapes = [tuple(branch.front(probe).shape[1:]) for branch in self.branches]
            self._shelves = [
                self.cache.shelf(recipe, shape, np.float16)
                for recipe, shape in zip(self._recipes, shapes, strict=True)
            ]
        return self._shelves

    def _key(self, example: Example, number: int) -> str:
        return example.digest if number == 0 else f"{example.digest}-{self.study.seed}-{number}"


def _batches(wanted: Sequence[Wanted], size: int) -> Iterator[Sequence[Wanted]]:
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def _ahead(
    decoders: ThreadPoolExecutor, missing: Sequence[Wanted], study: Study
) -> Iterator[tuple[Sequence[Wanted], NDArray[np.uint8]]]:
    """Yield batches of prepared views; the next images are decoded while one batch is worked on.

    An image is decoded and prepared once for all its views that follow one another.
    """
    waiting: deque[Future[list[tuple[Wanted, NDArray[np.uint8]]]]] = deque()
    ready: list[tuple[Wanted, NDArray[np.uint8]]] = []
    for _, group in groupby(missing, key=lambda wanted: wanted[0].digest):
        same = list(group)
        waiting.append(decoders.submit(_prepared_views, same, study))
        if len(waiting) * len(same) > 2 * _FRONT_BATCH:
            ready += waiting.popleft().result()
        while len(ready) >= _FRONT_BATCH:
            yield _batch(ready[:_FRONT_BATCH])
            ready = ready[_FRONT_BATCH:]
    for future in waiting:
        ready += future.result()
    for start in range(0, len(ready), _FRONT_BATCH):
        yield _batch(ready[start : start + _FRONT_BATCH])


def _batch(
    views: Sequence[tuple[Wanted, NDArray[np.uint8]]],
) -> tuple[Sequence[Wanted], NDArray[np.uint8]]:
    return [wanted for wanted, _ in views], np.stack([image for _, image in views])


def _prepared_views(same: Sequence[Wanted], study: Study) -> list[tuple[Wanted, NDArray[np.uint8]]]:
    example = same[0][0]
    try:
        data = example.image.read_bytes()
    except OSError as error:
        raise DataError(
            f"an image cannot be read from disk ({type(error).__name__})",
            fix="put it back, or remove it from the manifest and start the site again",
            local_detail=str(error),
        ) from error
    image = prepare(decode(data), study.imaging)
    return [
        (wanted, view(image, wanted[1], study.augmentation, study.seed, example.digest))
        for wanted in same
    ]


def _filled_up(rows: NDArray[Any], size: int) -> NDArray[Any]:
    return rows[np.arange(size) % len(rows)] if len(rows) < size else rows
