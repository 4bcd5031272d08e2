"""What a site tells of its predictions: counts that add, and nothing about a single image.

The sum of the sites' counts is exactly the count of the pooled data, whereas the mean of their
sensitivities is nobody's sensitivity. Fractions are carried as whole multiples of 2^-30, so sums
do not depend on the order of the sites.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNIT = 2.0**-30
SCORE_BINS = 256
REPLICATE_SCORE_BINS = 64
CALIBRATION_BINS = 15
_LOGIT_RANGE = 12.0  # scores beyond logit +-12 share the outermost bins
_LEAST_PROBABILITY = 1e-12
LARGEST_LOSS = 28.0  # above -log of it; no image adds more to a sum of losses


@dataclass(frozen=True, eq=False)
class EvaluationCounts:
    """Counts over predictions with k classes; all int64."""

    confusion: NDArray[np.int64]  # (k, k); rows: truth, columns: prediction
    scores: NDArray[np.int64]  # (k, 2, SCORE_BINS): class, is it the truth, bin of its probability
    calibration: NDArray[np.int64]  # (3, CALIBRATION_BINS): n, sum of confidence / UNIT, correct
    losses: NDArray[np.int64]  # (2,): Brier score and log-loss, summed, / UNIT
    replicate_confusion: NDArray[np.int64]  # (replicates, k, k)
    replicate_scores: NDArray[np.int64]  # (replicates, k, 2, REPLICATE_SCORE_BINS)

    def __add__(self, other: "EvaluationCounts") -> "EvaluationCounts":
        """Return the counts of both sites' images; replicate b is added to replicate b."""
        return EvaluationCounts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    @property
    def examples(self) -> int:
        """Number of predictions counted."""
        return int(self.confusion.sum())

    def to_arrays(self) -> dict[str, NDArray[np.int64]]:
        """Return the counts as named arrays."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "EvaluationCounts":
        """Rebuild counts from `to_arrays`; the caller has checked names, shapes and dtypes."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})


def no_counts(classes: int, replicates: int) -> EvaluationCounts:
    """Return the counts of no predictions: where a sum starts, and the shape of every term."""
    return EvaluationCounts(
        confusion=np.zeros((classes, classes), np.int64),
        scores=np.zeros((classes, 2, SCORE_BINS), np.int64),
        calibration=np.zeros((3, CALIBRATION_BINS), np.int64),
        losses=np.zeros(2, np.int64),
        replicate_confusion=np.zeros((replicates, classes, classes), np.int64),
        replicate_scores=np.zeros((replicates, classes, 2, REPLICATE_SCORE_BINS), np.int64),
    )


def tally(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    groups: Sequence[Hashable],
    replicates: int,
    generator: np.random.Generator,
) -> EvaluationCounts:
    """Count predictions.

    Bootstrap replicates resample whole groups with replacement (Davison and Hinkley 1997, section
    3.8: the group is the unit that was sampled, images of one patient are not independent). They
    are not stratified by class: a site often holds one group of a class, which a stratum of its
    own would draw every time, as if it could not have been another.

    Args:
        probabilities: float64 (n, k), rows sum to 1.
        truth: int64 (n,) in 0..k-1.
        groups: n values; images with the same one are resampled together.
        replicates: how many.
        generator: draws the replicates.
    """
    n, classes = probabilities.shape
    if n == 0:
        return no_counts(classes, replicates)
    predicted = probabilities.argmax(axis=1)
    group = np.unique([str(g) for g in groups], return_inverse=True)[1]
    weights = resampled(int(group.max()) + 1, replicates, generator)
    coarse = _score_bins(probabilities, REPLICATE_SCORE_BINS)
    return EvaluationCounts(
        confusion=_confusion(truth, predicted, classes),
        scores=_score_histograms(_score_bins(probabilities, SCORE_BINS), truth, SCORE_BINS),
        calibration=_calibration(probabilities.max(axis=1), predicted == truth),
        losses=_losses(probabilities, truth),
        replicate_confusion=_replicated(
            weights, group, lambda rows: _confusion(truth[rows], predicted[rows], classes)
        ),
        replicate_scores=_replicated(
            weights,
            group,
            lambda rows: _score_histograms(coarse[rows], truth[rows], REPLICATE_SCORE_BINS),
        ),
    )


def _confusion(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    cells = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def _score_bins(probabilities: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Bin probabilities evenly in the logit, where a trained classifier's scores differ."""
    p = np.clip(probabilities, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    place = (np.log(p / (1 - p)) + _LOGIT_RANGE) / (2 * _LOGIT_RANGE) * bins
    return np.clip(np.floor(place), 0, bins - 1).astype(np.int64)


def _score_histograms(
    binned: NDArray[np.int64], truth: NDArray[np.int64], bins: int
) -> NDArray[np.int64]:
    classes = binned.shape[1]
    is_truth = (truth[:, None] == np.arange(classes)).astype(np.int64)
    cells = (np.arange(classes) * 2 + is_truth) * bins + binned
    return np.bincount(cells.ravel(), minlength=classes * 2 * bins).reshape(classes, 2, bins)


def _calibration(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> NDArray[np.int64]:
    place = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    fixed = np.rint(confidence / UNIT).astype(np.int64)
    counts = np.zeros((3, CALIBRATION_BINS), np.int64)
    for row, values in enumerate((np.ones_like(fixed), fixed, correct.astype(np.int64))):
        np.add.at(counts[row], place, values)
    return counts


def _losses(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = np.arange(len(truth))
    onehot = np.zeros_like(probabilities)
    onehot[rows, truth] = 1
    brier = ((probabilities - onehot) ** 2).sum(axis=1)
    log_loss = -np.log(np.maximum(probabilities[rows, truth], _LEAST_PROBABILITY))
    return np.array([np.rint(x / UNIT).astype(np.int64).sum() for x in (brier, log_loss)])


def resampled(groups: int, replicates: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each group is drawn in each replicate, (replicates, groups)."""
    equal = np.full(groups, 1 / groups)
    return np.asarray(generator.multinomial(groups, equal, size=replicates), dtype=np.int64)


def _replicated(
    weights: NDArray[np.int64],
    group: NDArray[np.int64],
    count: Callable[[NDArray[np.int64]], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """Add up each group's counts as often as each replicate drew it."""
    per_group = np.stack([count(np.flatnonzero(group == g)) for g in range(weights.shape[1])])
    flat: NDArray[np.int64] = weights @ per_group.reshape(len(per_group), -1)
    return flat.reshape(len(weights), *per_group.shape[1:])
