"""What is asked of a site, and what the site tells besides arrays: small typed values.

Sites tell counts and sums, never rates, so that what the coordinator adds up is exact.
"""

from typing import Annotated, Literal

from pydantic import Field

from common.study.strict import Strict

Count = Annotated[int, Field(ge=0)]
Part = Literal["train", "validation", "test"]
ClassifierName = Literal["booster", "softmax"]
Stage = Literal["heads", "tails", "fusion"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CensusAsk(Strict):
    """Count the examples; prove the frozen weights."""

    kind: Literal["census"] = "census"


class CensusTold(Strict):
    """What a site holds."""

    kind: Literal["census"] = "census"
    examples: dict[Part, dict[str, Count]]
    """Usable examples per part and class; a class below the site's limit is left out."""
    withheld: dict[Part, tuple[str, ...]]
    """The classes left out of `examples`."""
    groups: dict[Part, Count]
    """Groups (patients, else slides, ...) per part."""
    grouped_by: str
    """The manifest column that groups."""
    excluded: dict[str, Count]
    """Images left out, by reason."""
    weights: dict[str, Digest]
    """Per backbone, the digest of the frozen front's tensors."""
    software: dict[str, str]
    """Versions of what computes."""
    numerics: dict[str, str | int | bool]
    """Precision, memory layout and threads of this site's computation."""


class MomentsAsk(Strict):
    """Sum the concatenated features and their squares, by which they are standardised."""

    kind: Literal["moments"] = "moments"


class MomentsTold(Strict):
    """The int64 sums travel as arrays beside this."""

    kind: Literal["moments"] = "moments"
    examples: Annotated[int, Field(ge=1)]
    """Training images summed."""


class FitAsk(Strict):
    """Train: the heads on frozen features, tails and heads, or the fusion block."""

    kind: Literal["fit"] = "fit"
    stage: Stage


class FitTold(Strict):
    """What training did; the arrays beside it are float16 differences."""

    kind: Literal["fit"] = "fit"
    examples: Annotated[int, Field(ge=1)]
    """Training images, the weight in the mean."""
    loss_sum: float = Field(ge=0)
    """Cross-entropy in nats, summed over the images of the last pass (views averaged)."""
    validation_examples: Count
    """Validation images."""
    validation_correct: Count
    """Of these, rightly classified by the model that came down."""
    validation_loss_sum: float = Field(ge=0)
    """Cross-entropy in nats of the model that came down, summed over validation images."""


class BoosterAsk(Strict):
    """Sum gradients and hessians per bin at the nodes of one level of this round's trees."""

    kind: Literal["booster"] = "booster"
    level: Count
    """Depth of the nodes that are to be split."""


class BoosterTold(Strict):
    """The int64 sums travel as an array beside this."""

    kind: Literal["booster"] = "booster"
    examples: Annotated[int, Field(ge=1)]
    """Rows summed."""


class CalibrationAsk(Strict):
    """Sum the log-losses of validation images over a grid of temperatures."""

    kind: Literal["calibration"] = "calibration"


class CalibrationTold(Strict):
    """The int64 sums travel as arrays beside this, one per classifier."""

    kind: Literal["calibration"] = "calibration"
    examples: Count


class EvaluationAsk(Strict):
    """Predict one part of the images and count."""

    kind: Literal["evaluation"] = "evaluation"
    part: Part = "test"
    temperatures: dict[ClassifierName, Annotated[float, Field(gt=0)]]
    """One temperature per classifier."""


class EvaluationTold(Strict):
    """The counts travel as arrays beside this, one set per classifier."""

    kind: Literal["evaluation"] = "evaluation"
    examples: Count
    withheld: tuple[str, ...]
    """Classes left out because the site holds too few examples of them."""


Ask = Annotated[
    CensusAsk | MomentsAsk | FitAsk | BoosterAsk | CalibrationAsk | EvaluationAsk,
    Field(discriminator="kind"),
]
Told = Annotated[
    CensusTold | MomentsTold | FitTold | BoosterTold | CalibrationTold | EvaluationTold,
    Field(discriminator="kind"),
]
