"""The phases of a study, in the order in which they run, and the settings of each."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.boosting.grid import log_grid
from common.errors import ConfigError
from common.study.methods import FedAvg, Method, Optimizer, Weights, unfit
from common.study.strict import Strict

Balance = Literal["none", "weights", "augmentation"]
Mixing = Literal["none", "mixup", "cutmix"]
BoosterMode = Literal["histogram", "bagging", "cyclic", "collective", "none"]


class Averaging(Strict):
    """The phase ends with a mean of its last models, which lies flatter than the last of them."""

    rounds: int = Field(default=1, ge=1)
    """How many of the phase's last rounds it goes over; 1: there is no mean. Of the backbones,
    rounds of tails alone, if there are any."""
    decay: float | None = Field(default=None, gt=0, lt=1)
    """null: the plain mean (SWA; Izmailov et al. 2018). Otherwise an exponential moving average,
    of which a round before counts this share."""


class CensusPhase(Strict):
    """Sites count their examples and prove that they hold the same frozen weights."""

    name: Literal["census"] = "census"


class Training(Strict):
    """What both phases in which sites train a network have in common."""

    name: Literal["backbones", "fusion"]
    """Which of the phases."""
    final_rate: float = Field(default=0.1, gt=0, le=1)
    """Share of the first rate that is left in the last round; it falls along a cosine."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Decoupled weight decay (Loshchilov and Hutter 2019)."""
    batch_size: int = Field(default=32, ge=2)
    """Examples per optimiser step."""
    balance: Balance = "none"
    """`weights`: an image counts inversely to its class's frequency at the site, at most tenfold.
    `augmentation`: images of rare classes are drawn more often instead, each time another view; a
    pass stays as long as it is."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of a label that is spread evenly over all classes (Szegedy et al. 2016, section 7)."""
    mixing: Mixing = "none"
    """Whether images are mixed with one another."""
    mixing_alpha: float = Field(default=0.4, gt=0)
    """Of the beta distribution from which a batch's share is drawn; small values mix little."""
    averaging: Averaging = Averaging()
    """What the coordinator makes of the models of the last rounds."""
    norm_bound: float | None = Field(default=None, gt=0)
    """Largest Euclidean norm of an update that the coordinator accepts; by default what the
    optimiser can reach at the round's rate, with the site's examples (common/study/schedule.py)."""
    method: Method = FedAvg()
    """What the coordinator makes of the sites' updates, and what a site adds to its gradient."""
    weights: Weights = "examples"
    """What a site's update counts: as much as its training images, or as any other site's."""
    participation: float = Field(default=1.0, gt=0, le=1)
    """Share of the sites that is drawn for each round by the study's seed; never fewer than the
    quorum."""
    participants: int | None = Field(default=None, ge=1)
    """Number of sites drawn for each round, instead of a share; not below the quorum."""
    optimizer: Optimizer = "adamw"
    """What a site trains with. `sgd` has no momentum, and its gradient, decay included, is
    shortened to `clip`."""
    clip: float = Field(default=10.0, gt=0)
    """With `sgd`: Euclidean norm beyond which a batch's gradient is shortened. It bounds how far
    an update can go."""

    @model_validator(mode="after")
    def _method_fits(self) -> "Training":
        if problem := unfit(self.method, self.optimizer, self.weights):
            raise ValueError(problem)
        return self


class BackbonesPhase(Training):
    """Both backbones, each with its own softmax head: first the heads alone, then the tails."""

    name: Literal["backbones"] = "backbones"
    head_rounds: int = Field(default=2, ge=0)
    """Rounds that train only the two softmax heads, on frozen features."""
    head_epochs: int = Field(default=3, ge=1)
    """Passes over a site's examples in a head round."""
    head_learning_rate: float = Field(default=3e-4, gt=0)
    """AdamW rate of the first head round."""
    tail_rounds: int = Field(default=4, ge=0)
    """Rounds that train tails and heads."""
    tail_epochs: int = Field(default=1, ge=1)
    """Passes over a site's examples in a tail round."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """AdamW rate of the first tail round."""
    views: int = Field(default=2, ge=1, le=16)
    """Views of each training image: the image itself, and augmented ones."""
    mixing: Mixing = "none"
    """`mixup`: each batch is mixed with itself in another order, activations and labels alike
    (Zhang et al. 2018; Verma et al. 2019). `cutmix`: a box of the activations is taken from the
    other image (Yun et al. 2019); heads, which see no maps, are trained with `mixup`."""


class FusionPhase(Training):
    """Dense layers H1 and H2 with a temporary softmax head, on concatenated features."""

    name: Literal["fusion"] = "fusion"
    rounds: int = Field(default=6, ge=1)
    """Exchanges."""
    local_epochs: int = Field(default=1, ge=1)
    """Passes over a site's examples in a round."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """AdamW rate of the first round."""
    mixing: Literal["none", "mixup"] = "none"
    """`mixup`: each batch is mixed with itself in another order, features and labels alike (Zhang
    et al. 2018; Verma et al. 2019)."""
    head: Literal["shared", "local"] = "shared"
    """`local`: every site keeps a softmax head of its own (Arivazhagan et al. 2019), which never
    leaves it; H1 and H2 are shared. Such a study has no shared booster."""


class LogGrid(Strict):
    """Fixed bin edges of the booster's features, spaced evenly in the logarithm."""

    lowest: float = Field(default=0.01, gt=0)
    """First edge; smaller values, zero among them, share the first bin."""
    highest: float = Field(default=32.0, gt=0)
    """Last edge; larger values share the last bin."""
    levels: int = Field(default=32, ge=3, le=256)
    """Number of bins."""

    @model_validator(mode="after")
    def _edges_ascend(self) -> "LogGrid":
        try:
            log_grid(self.lowest, self.highest, self.levels)
        except ConfigError as error:
            raise ValueError(f"grid: {error.problem}") from error
        return self


class BoosterPhase(Strict):
    """Federated XGBoost, eq. 8-10: by exact sums of gradient histograms, or by whole trees."""

    name: Literal["booster"] = "booster"
    mode: BoosterMode = "histogram"
    """`histogram`: sites send sums per bin, the coordinator grows ordinary XGBoost trees.
    `bagging`: each round every site grows trees on its own rows, and all are joined. `cyclic`: one
    site after the other grows a round. `collective`: the sites run XGBoost's own federated mode
    among themselves (one machine only, and only at sites that allow it by name). `none`: there are
    no trees; the softmax head of the fusion block is the classifier."""
    bagging: Literal["mean", "sum"] = "mean"
    """Of `bagging`: whether the leaves of a round are divided by the number of sites that grew
    it; `sum` steps so many times as far, and wants a smaller `eta`."""
    attempt_s: float = Field(default=300.0, gt=0, le=86400)
    """Of `collective`: seconds after which an attempt that hangs is ended."""
    input: Literal["fusion", "concat"] = "fusion"
    """What the trees read: H2, or the concatenated backbone features (an ablation)."""
    rounds: int = Field(default=6, ge=1)
    """Boosting rounds: by `histogram` rounds x depth exchanges, by `bagging` and `cyclic` one
    each, by `collective` three in all."""
    depth: int = Field(default=4, ge=1, le=10)
    """Levels of a tree."""
    eta: float = Field(default=0.6, gt=0, le=1)
    """Shrinkage of each round."""
    parallel_trees: int = Field(default=3, ge=1)
    """Trees per class and round (a boosted forest), each on other drawn columns."""
    columns: float = Field(default=0.5, gt=0, le=1)
    """Share of the features drawn."""
    columns_by: Literal["tree", "node"] = "tree"
    """Whether features are drawn for a tree or anew at each node; by tree halves the traffic of
    `histogram`, since a right child's sums then follow from its parent's."""
    l2: float = Field(default=1.0, ge=0)
    """XGBoost's lambda."""
    min_child_weight: float = Field(default=1.0, ge=0)
    """Fewest summed hessian in a child."""
    grid: LogGrid = LogGrid()
    """Bin edges."""

    @property
    def held_rounds(self) -> int:
        """How many rounds the coordinator holds; by `collective` the sites grow all in one."""
        return {"none": 0, "collective": 1}.get(self.mode, self.rounds)


class CalibrationPhase(Strict):
    """One temperature for each classifier (Guo et al. 2017), from sums over validation images."""

    name: Literal["calibration"] = "calibration"


class EvaluationPhase(Strict):
    """Counts over each site's held-back images."""

    name: Literal["evaluation"] = "evaluation"
    replicates: int = Field(default=500, ge=20, le=5000)
    """Bootstrap replicates over groups, for 95 % intervals."""
    views: int = Field(default=1, ge=1, le=16)
    """Views of each image that is predicted, the image itself among them; a prediction is the mean
    of their probabilities (test-time augmentation). Each costs a pass through the frozen fronts."""


class ReleasePhase(Strict):
    """The coordinator writes the bundle; nothing is asked of the sites."""

    name: Literal["release"] = "release"


Phase = Annotated[
    CensusPhase
    | BackbonesPhase
    | FusionPhase
    | BoosterPhase
    | CalibrationPhase
    | EvaluationPhase
    | ReleasePhase,
    Field(discriminator="name"),
]

PhaseName = Literal[
    "census", "backbones", "fusion", "booster", "calibration", "evaluation", "release"
]
PHASE_ORDER: tuple[PhaseName, ...] = (
    "census", "backbones", "fusion", "booster", "calibration", "evaluation", "release",
)  # fmt: skip
