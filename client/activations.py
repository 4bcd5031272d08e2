"""Images to activations to features: each computed once, then read from the site's cache."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL
import timm
import torch
from numpy.typing import NDArray

from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.data.shelf import Shelf
from client.data.views import ViewShelves, Wanted
from client.preparing import prepared_views
from client.pulse import Pulse, no_pulse
from client.site_config import Numerics
from client.training.augment import augmentation_digest
from client.training.numerics import autocast, laid_out, placed
from common.imaging.decode import DECODING
from common.imaging.pipeline import preparation_digest, to_model_input
from common.model.network import Branch, front_digest
from common.study.schema import Study

# Every batch has this many images, filled up with repeats: an image's activations then do not
# depend on which images were missing from the cache beside it.
_FRONT_BATCH = 16
_TAIL_BATCH = 32


@dataclass(frozen=True)
class Versions:
    """Of the libraries whose upgrade may change a bit."""

    preparing: tuple[str, ...] = (np.__version__, cv2.__version__, PIL.__version__)
    computing: tuple[str, ...] = (torch.__version__, timm.__version__)


INSTALLED = Versions()
SOFTWARE = [*INSTALLED.preparing, *INSTALLED.computing]
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
        versions: of the libraries that are used.
    """

    def __init__(
        self,
        study: Study,
        branches: Sequence[Branch],
        cache: ActivationCache,
        numerics: Numerics,
        progress: Progress = unwatched,
        pulse: Pulse = no_pulse,
        versions: Versions = INSTALLED,
    ) -> None:
        self.study = study
        self.branches = branches
        self.cache = cache
        self.numerics = numerics
        self.progress = progress
        self.pulse = pulse
        self.front_digests = {branch.architecture: front_digest(branch) for branch in branches}
        # Whatever changes a record stands in its recipe, or two studies would share it; whatever
        # does not, does not, or it would be computed again for nothing (docs/data.md, Cache).
        self._pixels = ["prepared", DECODING, preparation_digest(study.imaging), versions.preparing]
        self._recipes = [
            [backbone.model_dump(mode="json"), self.front_digests[branch.architecture],
             self._pixels, numerics.model_dump(), versions.computing]
            for branch, backbone in zip(branches, study.network.backbones, strict=True)
        ]  # fmt: skip
        self._variation = [augmentation_digest(study.augmentation), study.view_seed]
        self._study = {study.digest: study.name}
        self._shapes: list[tuple[int, ...]] = []

    def draw(
        self,
        branch: int,
        examples: Sequence[Example],
        images: NDArray[np.int64],
        views: NDArray[np.int64],
    ) -> NDArray[Any]:
        """Return front activations float16 (n, channels, height, width) of images and views."""
        wanted = [(examples[i], int(v)) for i, v in zip(images, views, strict=True)]
        return self._front(branch).read(wanted)

    def fill(self, examples: Sequence[Example], views: int) -> None:
        """Pass every view of every image that is not yet cached through the frozen fronts.

        Raises:
            DataError: the cache's limit is too small, or an image was lost since it was scanned.
        """
        self._fill([(example, number) for example in examples for number in range(views)])

    def _fill(self, wanted: Sequence[Wanted]) -> None:
        fronts = [self._front(number) for number in range(len(self.branches))]
        missing = [one for one in wanted if any(one not in front for front in fronts)]
        if not missing:
            return
        with self.cache.using(*(shelf for front in fronts for shelf in front.opened)):
            needed = [room for front in fronts for room in front.room_for(missing)]
            self.cache.make_room(*needed)
            pixels = self._prepared()
            digests = {example.digest for example, _ in missing}
            fresh = sum(digest not in pixels for digest in digests)
            keep = self.cache.has_room_to_spare(*needed, (pixels, fresh))
            views = prepared_views(missing, self.study, pixels, _FRONT_BATCH, keep=keep)
            modules = (branch.front for branch in self.branches)
            with self.cache.using(pixels), closing(views), placed(self.numerics, *modules):
                done = 0
                for some, images in views:
                    self.pulse()
                    self._store(fronts, some, images)
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
        wanted = [(example, number) for example in examples for number in range(views)]
        for branch, recipe in zip(self.branches, self._recipes, strict=True):
            kept = ViewShelves(
                self.cache, ["features", recipe, tail_digest], self._variation, (branch.width,),
                np.float32, f"features of {branch.architecture}", self._study,
            )  # fmt: skip
            missing = [one for one in wanted if one not in kept]
            with self.cache.using(*kept.opened):
                if missing:
                    self.cache.make_room(*kept.room_for(missing))
                    for some, found in self._forward(branch, missing):
                        kept.append(some, found)
                rows = kept.read(wanted)
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
        front = self._front(self.branches.index(branch))
        with (
            self.cache.using(*front.opened), placed(self.numerics, branch.tail),
            torch.inference_mode(), autocast(self.numerics),
        ):  # fmt: skip
            for some in _batches(wanted, _TAIL_BATCH):
                self.pulse()
                activations = _filled_up(front.read(some), _TAIL_BATCH)
                batch = laid_out(torch.from_numpy(activations), self.numerics)
                yield some, branch.tail(batch).float().cpu().numpy()[: len(some)]

    def _store(
        self, fronts: Sequence[ViewShelves], wanted: Sequence[Wanted], images: NDArray[Any]
    ) -> None:
        pixels = torch.from_numpy(to_model_input(_filled_up(images, _FRONT_BATCH)))
        for branch, front in zip(self.branches, fronts, strict=True):
            fresh = [i for i, one in enumerate(wanted) if one not in front]
            if fresh:
                with torch.inference_mode(), autocast(self.numerics):
                    found = branch.front(laid_out(pixels, self.numerics)).half()
                front.append([wanted[i] for i in fresh], found.cpu().numpy()[fresh])

    def _front(self, number: int) -> ViewShelves:
        """Open a front's shelves, which may have been removed since they were used last."""
        if not self._shapes:
            size = self.study.imaging.size
            with torch.inference_mode():
                probe = torch.zeros(1, 3, size, size)
                self._shapes = [tuple(branch.front(probe).shape[1:]) for branch in self.branches]
        return ViewShelves(
            self.cache, self._recipes[number], self._variation, self._shapes[number], np.float16,
            f"activations of {self.branches[number].architecture}", self._study,
        )  # fmt: skip

    def _prepared(self) -> Shelf:
        size = self.study.imaging.size
        return self.cache.shelf(
            self._pixels, (size, size, 3), np.uint8, "prepared images", self._study
        )


def _batches(wanted: Sequence[Wanted], size: int) -> Iterator[Sequence[Wanted]]:
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def _filled_up(rows: NDArray[Any], size: int) -> NDArray[Any]:
    return rows[np.arange(size) % len(rows)] if len(rows) < size else rows
