"""The figures that metrics.json is made of, and how each follows from counts.

A figure that cannot be computed, for example the sensitivity to a class that no image has, is
null; not-a-number never stands in the file.
"""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from common.asks import CensusTold, Count, Part
from common.statistics import metrics as measure
from common.statistics.counts import UNIT, EvaluationCounts
from common.study.strict import Strict

ROC_BINS = 64  # a curve has one point more


def _known(value: object) -> object:
    """Turn what is not a finite number into null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_known)]
Interval = tuple[Number, Number]


class Intervals(Strict):
    """95 % bootstrap intervals over groups: the 2.5th and 97.5th percentile."""

    accuracy: Interval
    """Of the accuracy."""
    macro_f1: Interval
    """Of the macro F1."""
    macro_auc: Interval
    """Of the macro AUC."""


class Roc(Strict):
    """A receiver operating characteristic from (0, 0) to (1, 1), at most 65 points."""

    false_positive_rate: tuple[float, ...]
    """1 - specificity."""
    true_positive_rate: tuple[float, ...]
    """Sensitivity."""


class ClassScores(Strict):
    """One class against the rest."""

    examples: Count
    """Images of this class."""
    sensitivity: Number
    """TP / (TP + FN)."""
    specificity: Number
    """TN / (TN + FP)."""
    precision: Number
    """TP / (TP + FP)."""
    f1: Number
    """2 TP / (2 TP + FP + FN)."""
    auc: Number
    """Area under the ROC, over 256 score bins."""
    roc: Roc | None
    """The ROC itself, over 64 score bins."""


class CalibrationBin(Strict):
    """Predictions whose confidence, the largest probability, fell between `low` and `high`."""

    low: float
    """Lower edge."""
    high: float
    """Upper edge."""
    count: Count
    """Predictions."""
    confidence: Number
    """Their mean confidence."""
    accuracy: Number
    """Share of them that was right."""


class Summary(Strict):
    """Two figures, where the rest would be too much."""

    accuracy: Number
    """Share of right predictions."""
    macro_f1: Number
    """Mean F1 over the classes that occurred."""
    examples: Count
    """Images."""


class Difference(Strict):
    """A figure of the federated model minus that of another arm."""

    value: Number
    """The difference on all images."""
    interval: Interval
    """95 % bootstrap interval; both arms are resampled together."""


class Gain(Strict):
    """Federated (booster) minus another arm, on the same images."""

    accuracy: Difference
    """Of the accuracy."""
    macro_f1: Difference
    """Of the macro F1."""
    macro_auc: Difference
    """Of the macro AUC."""


class SiteScores(Strict):
    """What a site's own test images say (booster)."""

    federated: Summary
    """The federated model."""
    alone: Summary | None = None
    """The model trained on this site's images alone."""
    examples: Count
    """Test images of this site."""


class SiteData(Strict):
    """What a site holds."""

    examples: dict[Part, dict[str, Count]]
    """Images per part and class."""
    withheld: dict[Part, tuple[str, ...]] = Field(default_factory=dict)
    """Classes whose small counts the site does not tell; its test counts lack them too."""
    fewest_examples: Count | None = None
    """The site's limit: a class that it does not tell has fewer images than this."""
    groups: dict[Part, Count] = Field(default_factory=dict)
    """Groups per part."""
    grouped_by: str
    """What a group is: patient, slide, stain_cluster, field or image."""
    excluded: dict[str, Count] = Field(default_factory=dict)
    """Images left out, by reason."""


class Shared(Strict):
    """How many images two sites have in common, by keyed hashes of how they look."""

    sites: tuple[str, str]
    """The two."""
    images: Count
    """Hashes that both told."""


Mark = Literal["answered", "late", "missing", "refused", "rejected", "left out", "not drawn"]
"""What became of a site in a round: its replies counted; came too late; never came; were a
refusal; were refused by the coordinator; it was not asked, having been lost before; or it was not
asked because the round was drawn without it."""


class Attendance(Strict):
    """Who took part in a round."""

    round: Count
    """Its number; 0 prepares a phase."""
    sites: dict[str, Mark]
    """By site of the study."""


class CurvePoint(Strict):
    """One round of training, over all sites."""

    round: Count
    """Its number."""
    stage: str
    """What was trained."""
    loss: Number
    """Cross-entropy per training image, in nats."""
    validation_loss: Number = None
    """Cross-entropy per validation image of the model that the round started from."""
    validation_accuracy: Number = None
    """Share of validation images that this model classified rightly."""


def summary(counts: EvaluationCounts) -> Summary:
    """Derive accuracy and macro F1 alone."""
    return Summary(
        accuracy=float(measure.accuracy(counts.confusion)),
        macro_f1=float(measure.macro(measure.f1(counts.confusion))),
        examples=counts.examples,
    )


def gain(federated: EvaluationCounts, other: EvaluationCounts) -> Gain:
    """Subtract another arm's figures, replicate by replicate.

    Replicates must have drawn the same groups: both counts tallied from the same images, groups
    and random streams, site by site. The intervals are then those of paired differences, narrower
    than what two separate intervals suggest.

    Raises:
        ValueError: the replicates hold different numbers of images per class.
    """
    if not np.array_equal(
        federated.replicate_confusion.sum(axis=-1), other.replicate_confusion.sum(axis=-1)
    ):
        raise ValueError("the two arms' replicates were drawn from different images")
    ours, theirs = _headline(federated), _headline(other)
    found = {
        name: Difference(
            value=float(ours[name][0] - theirs[name][0]),
            interval=measure.percentiles(ours[name][1] - theirs[name][1]),
        )
        for name in ours
    }
    return Gain(**found)


def site_data(told: CensusTold) -> SiteData:
    """Take from a site's census what the metrics tell of its data."""
    return SiteData(
        examples=told.examples,
        withheld=told.withheld,
        fewest_examples=told.fewest_examples,
        groups=told.groups,
        grouped_by=told.grouped_by,
        excluded=told.excluded,
    )


def per_class(counts: EvaluationCounts, classes: tuple[str, ...]) -> dict[str, ClassScores]:
    """Derive the figures of each class against the rest."""
    confusion = counts.confusion
    columns = {
        "sensitivity": measure.sensitivity(confusion),
        "specificity": measure.specificity(confusion),
        "precision": measure.precision(confusion),
        "f1": measure.f1(confusion),
        "auc": measure.auc(counts.scores),
    }
    return {
        name: ClassScores(
            examples=int(confusion[label].sum()),
            roc=_roc(counts.scores[label]),
            **{figure: float(values[label]) for figure, values in columns.items()},
        )
        for label, name in enumerate(classes)
    }


def calibration_bins(calibration: NDArray[np.int64]) -> tuple[CalibrationBin, ...]:
    """Turn the summed bins, int64 (3, bins), into a reliability diagram."""
    bins = calibration.shape[1]
    return tuple(
        CalibrationBin(
            low=place / bins,
            high=(place + 1) / bins,
            count=count,
            confidence=confidence * UNIT / count if count else None,
            accuracy=correct / count if count else None,
        )
        for place, (count, confidence, correct) in enumerate(calibration.T.tolist())
    )


def _headline(counts: EvaluationCounts) -> dict[str, tuple[float, NDArray[np.float64]]]:
    """Return accuracy, macro_f1 and macro_auc: of the images, and of each replicate."""
    values = {
        "accuracy": measure.accuracy(counts.confusion),
        "macro_f1": measure.macro(measure.f1(counts.confusion)),
        "macro_auc": measure.macro(measure.auc(counts.scores)),
    }
    replicates = measure.replicated(counts)
    return {name: (float(value), replicates[name]) for name, value in values.items()}


def _roc(scores: NDArray[np.int64]) -> Roc | None:
    """Return one class's ROC over `ROC_BINS` bins; None where there is nothing to tell apart."""
    if not scores.any(axis=1).all():
        return None
    curve = measure.roc(scores.reshape(2, ROC_BINS, -1).sum(axis=-1))
    return Roc(
        false_positive_rate=curve.false_positive_rate, true_positive_rate=curve.true_positive_rate
    )
