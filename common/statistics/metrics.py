"""Metrics derived from counts: the federated number is the pooled number, to the last digit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.statistics.counts import UNIT, EvaluationCounts

Interval = tuple[float, float]
_LEVEL = (2.5, 97.5)


@dataclass(frozen=True)
class Curve:
    """A receiver operating characteristic: points from (0, 0) to (1, 1)."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


def accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of right predictions; confusion (..., k, k), result (...)."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def sensitivity(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return TP / (TP + FN) per class, (..., k); NaN where a class never occurred.

    Khan et al. 2025, eq. 12, divide by TP + FP, which is the precision; not followed here.
    """
    return _ratio(_diagonal(confusion), confusion.sum(axis=-1))


def precision(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return TP / (TP + FP) per class, (..., k); NaN where a class was never predicted."""
    return _ratio(_diagonal(confusion), confusion.sum(axis=-2))


def specificity(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return TN / (TN + FP) per class, (..., k)."""
    total = confusion.sum(axis=(-2, -1))[..., None]
    truth, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    negatives = total - truth
    return _ratio(negatives - (predicted - _diagonal(confusion)), negatives)


def f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN) per class, (..., k); NaN where a class never occurred."""
    truth, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    score = _ratio(2 * _diagonal(confusion), truth + predicted)
    return np.where(truth > 0, score, np.nan)


def auc(scores: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the area under the ROC per class, one against the rest.

    The chance that a positive scores above a negative, ties counting half (Hanley and McNeil
    1982); scores in one bin are ties.

    Args:
        scores: (..., k, 2, bins); index 0 of the pair: negatives, 1: positives.

    Returns:
        (..., k); NaN where positives or negatives are missing.
    """
    negatives, positives = scores[..., 0, :], scores[..., 1, :]
    below = np.cumsum(negatives, axis=-1) - negatives
    wins = (positives * (2 * below + negatives)).sum(axis=-1)
    return _ratio(wins, 2 * positives.sum(axis=-1) * negatives.sum(axis=-1))


def macro(per_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the classes that occurred, (...); NaN if none did."""
    known = ~np.isnan(per_class)
    return _ratio(np.where(known, per_class, 0).sum(axis=-1), known.sum(axis=-1))


def roc(scores: NDArray[np.int64]) -> Curve:
    """Return the ROC of one class from its histograms (2, bins), at most bins + 1 points."""
    falling = np.cumsum(scores[:, ::-1], axis=1)
    steps = np.concatenate([np.zeros((2, 1), np.int64), falling], axis=1)
    kept = np.concatenate([[True], np.diff(steps, axis=1).any(axis=0)])
    rates = steps[:, kept] / np.maximum(steps[:, -1:], 1)
    return Curve(tuple(rates[0].tolist()), tuple(rates[1].tolist()))


def calibration_error(calibration: NDArray[np.int64]) -> float:
    """Return the expected calibration error (Guo et al. 2017, eq. 3), over equal bins."""
    n, confidence, correct = calibration
    gap = np.abs(correct - confidence * UNIT).sum()
    return float(gap / max(1, n.sum()))


def brier_score(counts: EvaluationCounts) -> float:
    """Return the mean squared distance to the one-hot truth, summed over classes, 0 to 2."""
    return float(counts.losses[0] * UNIT / max(1, counts.examples))


def log_loss(counts: EvaluationCounts) -> float:
    """Return the mean negative log-likelihood, in nats."""
    return float(counts.losses[1] * UNIT / max(1, counts.examples))


def intervals(counts: EvaluationCounts) -> dict[str, Interval]:
    """Return 95 % intervals of accuracy, macro_f1 and macro_auc over replicates."""
    return {name: percentiles(values) for name, values in replicated(counts).items()}


def replicated(counts: EvaluationCounts) -> dict[str, NDArray[np.float64]]:
    """Return accuracy, macro_f1 and macro_auc of every bootstrap replicate, (replicates,)."""
    return {
        "accuracy": accuracy(counts.replicate_confusion),
        "macro_f1": macro(f1(counts.replicate_confusion)),
        "macro_auc": macro(auc(counts.replicate_scores)),
    }


def percentiles(values: NDArray[np.float64]) -> Interval:
    """Return the 2.5th and 97.5th percentile of what is not NaN; NaN if nothing is."""
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, _LEVEL) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def _diagonal(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _ratio(above: NDArray[np.generic], below: NDArray[np.generic]) -> NDArray[np.float64]:
    """Divide; NaN where there is nothing to divide by."""
    numerator = np.asarray(above, dtype=np.float64)
    out = np.full(np.broadcast_shapes(numerator.shape, np.shape(below)), np.nan)
    np.divide(numerator, below, out=out, where=np.asarray(below) > 0)
    return out
