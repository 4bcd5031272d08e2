"""Two batches made one, with labels to match: mixup and CutMix, on activations and features."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from common.study.schedule import Schedule

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Blend:
    """How a batch is mixed with itself: `share` stays, the rest comes from the images `others`."""

    others: NDArray[np.int64]
    share: float
    box: tuple[slice, slice] | None = None
    """Of the activations' rows and columns, which is taken whole from the other image."""

    @classmethod
    def drawn(
        cls, schedule: Schedule, images: int, generator: np.random.Generator,
        sides: tuple[int, ...] = (),
    ) -> Self | None:  # fmt: skip
        """Draw a batch's blend; None if the schedule mixes nothing, and then nothing is drawn.

        The share is drawn from Beta(alpha, alpha) (Zhang et al. 2018, section 2). CutMix's box
        covers 1 - share of the map about a drawn centre, cut off at the border, and the share
        becomes what is left outside it (Yun et al. 2019, eq. 2 and 3). Features, which have no
        sides, are mixed as by mixup.

        Args:
            schedule: says how, and alpha.
            images: in the batch.
            generator: draws.
            sides: height and width of the activations, if there are any.
        """
        if schedule.mixing == "none":
            return None
        others = generator.permutation(images)
        share = float(generator.beta(schedule.mixing_alpha, schedule.mixing_alpha))
        if schedule.mixing == "mixup" or not sides:
            return cls(others, share)
        box = tuple(_cut(side, math.sqrt(1 - share), generator) for side in sides)
        cut = math.prod(one.stop - one.start for one in box) / math.prod(sides)
        return cls(others, 1 - cut, (box[0], box[1]))

    def inputs(self, batch: Array) -> Array:
        """Mix activations (n, channels, height, width) or features (n, width); return them."""
        other = batch[self.others]
        if self.box is None:
            mixed = batch * batch.dtype.type(self.share)
            mixed += other * batch.dtype.type(1 - self.share)
            return mixed
        batch = batch.copy()
        batch[..., self.box[0], self.box[1]] = other[..., self.box[0], self.box[1]]
        return batch


def _cut(side: int, share: float, generator: np.random.Generator) -> slice:
    """Draw where a box of this share of a side lies, cut off at the ends."""
    half = round(side * share) / 2
    centre = generator.integers(side) + 0.5
    return slice(max(0, math.ceil(centre - half)), min(side, math.ceil(centre + half)))
