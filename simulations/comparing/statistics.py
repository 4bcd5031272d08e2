"""Figures of arms over folds and seeds, and of their differences, by a bootstrap over groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.seeds import stream
from common.statistics.counts import resampled
from common.statistics.metrics import Interval, accuracy, f1, macro, percentiles

Figure = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""From confusions (..., k, k) to one number each (...)."""


def macro_f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean F1 of the classes that occurred."""
    return macro(f1(confusion))


FIGURES: Mapping[str, Figure] = {"macro_f1": macro_f1, "accuracy": accuracy}


@dataclass(frozen=True, eq=False)
class Counts:
    """An arm's predictions, counted."""

    confusion: NDArray[np.int64]  # (seeds, folds, groups, k, k); rows: truth, columns: prediction

    @classmethod
    def of(
        cls,
        predicted: Sequence[Sequence[Mapping[int, int]]],
        labels: NDArray[np.int64],
        group: NDArray[np.int64],
        classes: int,
    ) -> "Counts":
        """Count predictions.

        Args:
            predicted: for each seed and fold, the class that each image was taken for.
            labels: int64 (n,), the class of every image.
            group: int64 (n,), the number of every image's group.
            classes: k.
        """
        shape = (len(predicted), len(predicted[0]), int(group.max()) + 1, classes, classes)
        confusion = np.zeros(shape, dtype=np.int64)
        for seed, folds in enumerate(predicted):
            for fold, found in enumerate(folds):
                images = np.fromiter(found.keys(), np.int64, len(found))
                taken = np.fromiter(found.values(), np.int64, len(found))
                np.add.at(confusion[seed, fold], (group[images], labels[images], taken), 1)
        return cls(confusion)


@dataclass(frozen=True, eq=False)
class Measured:
    """One figure of an arm."""

    by_seed: NDArray[np.float64]  # (seeds,), of the predictions of all folds together
    by_fold: NDArray[np.float64]  # (seeds, folds)
    replicates: NDArray[np.float64]  # (replicates,), the mean over seeds, groups drawn anew

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(self.by_seed.mean())

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the mean."""
        return percentiles(self.replicates)

    def __sub__(self, other: "Measured") -> "Measured":
        """Return the difference, replicate by replicate."""
        return Measured(
            self.by_seed - other.by_seed,
            self.by_fold - other.by_fold,
            self.replicates - other.replicates,
        )


class Bootstrap:
    """Draws whole groups with replacement, the same ones for every arm, seed and figure.

    Davison and Hinkley 1997, section 3.8: the group is the unit that was sampled. All folds are
    pooled before a figure is taken, for F1 of few images is biased, and the mean over folds keeps
    the bias (Forman and Scholz 2010, section 3: F1 of the summed counts is the one without).

    Args:
        tested: numbers of the groups that any arm was tested on.
        replicates: how many.
        seed: of the draws.
    """

    def __init__(self, tested: NDArray[np.int64], replicates: int, seed: int) -> None:
        self.tested = tested
        self._weights = resampled(len(tested), replicates, stream(seed, "comparison"))

    def measured(self, counts: Counts, figure: Figure) -> Measured:
        """Return a figure of an arm."""
        pooled = counts.confusion[:, :, self.tested].sum(axis=1)  # (seeds, groups, k, k)
        drawn = np.tensordot(self._weights, pooled, axes=(1, 1))  # (replicates, seeds, k, k)
        return Measured(
            by_seed=figure(pooled.sum(axis=1)),
            by_fold=figure(counts.confusion.sum(axis=2)),
            replicates=figure(drawn).mean(axis=1),
        )


def mean_of(several: Sequence[Measured]) -> Measured:
    """Return the mean of a figure over several arms, replicate by replicate."""
    return Measured(
        np.mean([one.by_seed for one in several], axis=0),
        np.mean([one.by_fold for one in several], axis=0),
        np.mean([one.replicates for one in several], axis=0),
    )


def is_distinguishable(interval: Interval) -> bool:
    """Say whether a difference's interval leaves 0 out."""
    low, high = interval
    return low > 0 or high < 0
