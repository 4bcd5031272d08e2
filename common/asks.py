"""What is asked of a site, and what the site tells besides arrays: small typed values.

Sites tell counts and sums, never rates, so that what the coordinator adds up is exact.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from common.study.strict import Strict

# Bounds keep every sum over sites finite, and a site's words short.
Count = Annotated[int, Field(ge=0, le=2**40)]
Loss = Annotated[float, Field(ge=0, le=1e15)]
Word = Annotated[str, Field(max_length=100)]
Part = Literal["train", "validation", "test"]
EVALUATED: tuple[Part, ...] = ("test", "validation")
"""The parts that evaluation predicts, in the order of its exchanges."""
ClassifierName = Literal["booster", "softmax"]
Stage = Literal["heads", "tails", "fusion"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SIGNATURE_BYTES = 16
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
MOST_SIGNATURES = 200_000


class CensusAsk(Strict):
    """Count the examples; prove the frozen weights."""

    kind: Literal["census"] = "census"


class CensusTold(Strict):
    """What a site holds."""

    kind: Literal["census"] = "census"
    examples: dict[Part, dict[Word, Count]]
    """Usable examples per part and class; a class below the site's limit is left out."""
    withheld: dict[Part, tuple[Word, ...]]
    """The classes left out of `examples`."""
    fewest_examples: Count
    """The site's limit: of each class left out it holds fewer than this."""
    groups: dict[Part, Count]
    """Groups (patients, else slides, ...) per part."""
    grouped_by: Word
    """The manifest column that groups."""
    excluded: dict[Word, Count]
    """Images left out, by reason."""
    weights: dict[Word, Digest]
    """Per backbone, the digest of the frozen front's tensors."""
    software: dict[Word, Word]
    """Versions of what computes."""
    numerics: dict[Word, Word | Count | bool]
    """Precision, memory layout and threads of this site's computation."""
    overlap: Annotated[tuple[Signature, ...], Field(max_length=MOST_SIGNATURES)] | None = None
    """Keyed hashes of how its images look, sorted; None where the study does not ask for them or
    the site does not tell them."""


class MomentsAsk(Strict):
    """Sum the concatenated features and their squares, by which they are standardised."""

    kind: Literal["moments"] = "moments"


class MomentsTold(Strict):
    """The int64 sums travel as arrays beside this."""

    kind: Literal["moments"] = "moments"
    examples: Annotated[Count, Field(ge=1)]
    """Training images summed."""


class FitAsk(Strict):
    """Train: the heads on frozen features, tails and heads, or the fusion block."""

    kind: Literal["fit"] = "fit"
    stage: Stage


class FitTold(Strict):
    """What training did; the arrays beside it are float16 differences."""

    kind: Literal["fit"] = "fit"
    examples: Annotated[Count, Field(ge=1)]
    """Training images, the weight in the mean."""
    loss_sum: Loss
    """Cross-entropy in nats, summed over the images of the last pass (views averaged); weighted
    where the study balances classes by weights."""
    validation_examples: Count
    """Validation images."""
    validation_correct: Count
    """Of these, rightly classified by the model that came down."""
    validation_loss_sum: Loss
    """Cross-entropy in nats of the model that came down, summed over validation images."""


class BoosterAsk(Strict):
    """Sum gradients and hessians per bin at the nodes of one level of this round's trees."""

    kind: Literal["booster"] = "booster"
    level: Count
    """Depth of the nodes that are to be split."""


class BoosterTold(Strict):
    """The int64 sums travel as an array beside this."""

    kind: Literal["booster"] = "booster"
    examples: Annotated[Count, Field(ge=1)]
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
    withheld: tuple[Word, ...]
    """Classes left out because the site holds too few examples of them."""


Ask = Annotated[
    CensusAsk | MomentsAsk | FitAsk | BoosterAsk | CalibrationAsk | EvaluationAsk,
    Field(discriminator="kind"),
]
Told = Annotated[
    CensusTold | MomentsTold | FitTold | BoosterTold | CalibrationTold | EvaluationTold,
    Field(discriminator="kind"),
]

Work = Literal[
    "census", "moments", "fit heads", "fit tails", "fit fusion", "booster", "calibration",
    "evaluation",
]  # fmt: skip

_CLASSIFIER = ("constants", "tails", "fusion", "fusion-moments", "booster")
NEEDED_PARTS: Mapping[Work, tuple[str, ...]] = {
    "census": (),
    "moments": ("constants", "tails"),
    "fit heads": ("heads", "constants", "tails", "moments"),
    "fit tails": ("heads", "tails", "constants", "moments"),
    "fit fusion": ("fusion", "constants", "tails", "fusion-moments"),
    "booster": (*_CLASSIFIER, "booster-partial"),
    "calibration": _CLASSIFIER,
    "evaluation": _CLASSIFIER,
}
"""The parts of the model that each work needs; a request names exactly these."""


TRAINED_PARTS: Mapping[Stage, tuple[str, ...]] = {
    "heads": ("heads",), "tails": ("heads", "tails"), "fusion": ("fusion",),
}  # fmt: skip
"""The parts of the model whose differences training sends back."""


def work_of(ask: Ask) -> Work:
    """Name the work that is asked for; of training, with its stage."""
    if ask.kind != "fit":
        return ask.kind
    stages: Mapping[Stage, Work] = {
        "heads": "fit heads", "tails": "fit tails", "fusion": "fit fusion",
    }  # fmt: skip
    return stages[ask.stage]
