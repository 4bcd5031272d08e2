"""What metrics.json holds: every figure of a run, derived from counts that add."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError

from common.asks import ClassifierName, Count
from common.division import PartitionTold
from common.errors import CorruptFile
from common.figures import (
    Attendance,
    CalibrationBin,
    ClassScores,
    CurvePoint,
    Gain,
    Intervals,
    Number,
    Shared,
    SiteData,
    SiteScores,
    Summary,
    calibration_bins,
    per_class,
    summary,
)
from common.statistics import metrics as measure
from common.statistics.counts import EvaluationCounts
from common.study.strict import Strict

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PerPhase = dict[str, dict[str, Count]]
_SITES_NAMED = 6  # in a sentence; the report's table has them all


class Scores(Strict):
    """What one classifier reached on the held-back images."""

    accuracy: Number
    """Share of right predictions."""
    macro_f1: Number
    """Mean F1 over the classes that occurred."""
    macro_auc: Number
    """Mean one-against-rest AUC over the classes that occurred."""
    interval: Intervals
    """95 % intervals of the three."""
    confusion: tuple[tuple[Count, ...], ...]
    """Images; a row per true class, a column per predicted class, in the order of `classes`."""
    examples: Count
    """Images predicted."""
    per_class: dict[str, ClassScores]
    """Each class against the rest."""
    ece: Number
    """Expected calibration error (Guo et al. 2017, eq. 3)."""
    brier: Number
    """Mean squared distance to the one-hot truth, summed over classes, 0 to 2."""
    log_loss: Number
    """Mean negative log-likelihood, in nats."""
    calibration: tuple[CalibrationBin, ...]
    """The reliability diagram."""
    temperature: Number = None
    """What the logits were divided by; null: nothing."""
    validation: Summary | None = None
    """The same classifier on the validation images, on which its temperature was chosen."""


class ModelArm(Scores):
    """A trained network; its own fields are the booster's."""

    softmax: Scores
    """The head that the booster replaces."""


class Arms(Strict):
    """Ways to come to a classifier, measured on the same images; null or empty: not measured."""

    federated: ModelArm
    """This run."""
    pooled: ModelArm | None = None
    """The same model trained on all sites' images in one place."""
    linear_probe: Scores | None = None
    """Logistic regression on the frozen features of both backbones."""
    colour_only: Scores | None = None
    """Logistic regression on global colour statistics."""
    local_only: dict[str, ModelArm] = Field(default_factory=dict)
    """By site: the same model trained on this site's images alone."""


class RunMetrics(Strict):
    """metrics.json."""

    schema_version: Literal[1] = 1
    """Of this file."""
    name: str
    """The study's name."""
    study_digest: str
    """SHA-256 of the study."""
    synthetic: bool
    """Whether the images were generated."""
    rehearsal: bool = False
    """Whether this was a rehearsal: the real sites, generated images."""
    complete: bool = True
    """Whether every site of the study took part in every round."""
    lost: dict[str, Count] = Field(default_factory=dict)
    """By site that did not: the rounds, of all phases, in which its replies do not count."""
    classes: tuple[str, ...]
    """In the order of the label numbers."""
    arms: Arms
    """Figures on the held-back images."""
    gains: dict[str, Gain] = Field(default_factory=dict)
    """By arm (`pooled`, `linear_probe`, `colour_only`): federated minus that arm, paired."""
    per_site: dict[str, SiteScores] = Field(default_factory=dict)
    """Each site's own test images."""
    data: dict[str, SiteData] = Field(default_factory=dict)
    """By site: what was trained and tested on."""
    partition: PartitionTold | None = None
    """How a simulation made its sites; null: the sites are hospitals."""
    overlap: tuple[Shared, ...] | None = None
    """Images that two sites have in common, of those sites that told; null: nobody was asked."""
    bytes_up: PerPhase = Field(default_factory=dict)
    """By phase and site: bytes to the coordinator."""
    bytes_down: PerPhase = Field(default_factory=dict)
    """By phase and site: bytes from the coordinator."""
    seconds: dict[str, dict[str, Amount]] = Field(default_factory=dict)
    """By phase and site: seconds of work at the site."""
    seconds_total: Amount | None = None
    """Wall-clock seconds of the run."""
    arm_seconds: dict[str, Amount] = Field(default_factory=dict)
    """By arm: wall-clock seconds."""
    participation: dict[str, tuple[Attendance, ...]] = Field(default_factory=dict)
    """By phase: who took part in each of its rounds."""
    curves: dict[str, tuple[CurvePoint, ...]] = Field(default_factory=dict)
    """By phase: its rounds."""
    digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the released model's named arrays."""
    initial_model: str | None = None
    """SHA-256 of the initial model's arrays."""
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    """Software versions, processor, numerics; under `sites`, what each site told of its own."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """The study with every default filled in."""

    @property
    def losses(self) -> str:
        """How many rounds are without which site, in words; empty if all took part in all."""
        rounds = sum(map(len, self.participation.values()))
        most = sorted(self.lost.items(), key=lambda one: (-one[1], one[0]))
        told = [f"{number} without {site}" for site, number in most[:_SITES_NAMED]]
        if others := len(most) - len(told):
            told.append(f"some without {others} more sites")
        return f"Of {rounds} rounds: {', '.join(told)}" if told else ""


def scores_from_counts(
    counts: EvaluationCounts,
    classes: tuple[str, ...],
    *,
    temperature: float | None = None,
    validation: EvaluationCounts | None = None,
) -> Scores:
    """Derive every figure of one classifier from its counts.

    Args:
        counts: of the held-back images, added over sites.
        classes: names, in the order of the label numbers.
        temperature: what the classifier's logits were divided by.
        validation: counts of the validation images.
    """
    is_measured = counts.examples > 0
    return Scores(
        accuracy=float(measure.accuracy(counts.confusion)),
        macro_f1=float(measure.macro(measure.f1(counts.confusion))),
        macro_auc=float(measure.macro(measure.auc(counts.scores))),
        interval=Intervals(**measure.intervals(counts)),
        confusion=counts.confusion.tolist(),
        examples=counts.examples,
        per_class=per_class(counts, classes),
        ece=measure.calibration_error(counts.calibration) if is_measured else None,
        brier=measure.brier_score(counts) if is_measured else None,
        log_loss=measure.log_loss(counts) if is_measured else None,
        calibration=calibration_bins(counts.calibration),
        temperature=temperature,
        validation=None if validation is None else summary(validation),
    )


def model_arm(
    booster: EvaluationCounts,
    softmax: EvaluationCounts,
    classes: tuple[str, ...],
    *,
    temperatures: Mapping[ClassifierName, float] | None = None,
    validation: Mapping[ClassifierName, EvaluationCounts] | None = None,
) -> ModelArm:
    """Derive the figures of a trained network's two classifiers; see `scores_from_counts`."""
    heat, held = temperatures or {}, validation or {}
    own = scores_from_counts(
        booster, classes, temperature=heat.get("booster"), validation=held.get("booster")
    )
    beside = scores_from_counts(
        softmax, classes, temperature=heat.get("softmax"), validation=held.get("softmax")
    )
    return ModelArm(**dict(own), softmax=beside)


def load_metrics(path: Path) -> RunMetrics:
    """Read a metrics.json.

    Raises:
        CorruptFile: it cannot be read, or is not of this schema.
    """
    try:
        return RunMetrics.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CorruptFile(
            "the metrics cannot be read",
            fix="give the metrics.json of a run or release of this version of leukofed",
            local_detail=f"{path}: {error}",
        ) from error
