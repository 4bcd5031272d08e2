"""The rows of a run's tables: their fields are the columns, and say what each means."""

from common.figures import Mark, Number
from common.study.strict import Strict


class ExchangeRow(Strict):
    """What a site was asked once, and what that cost: a line per exchange and site."""

    arm: str
    """The arm whose run it belongs to, such as federated, pooled or local_only.north."""
    phase: str
    """Of the study."""
    round: int
    """Of the phase; 0 prepares it."""
    exchange: int
    """Of the round."""
    ask: str
    """What was asked."""
    site: str
    """Who was asked."""
    time: str
    """When the exchange was over, UTC."""
    accepted: bool
    """Whether the reply counts."""
    bytes_down: int | None
    """Bytes to the site."""
    bytes_up: int | None
    """Bytes from the site."""
    work_seconds: float | None
    """Seconds of work, as the site tells."""
    waited_seconds: float | None
    """Seconds from the request to the reply."""
    examples: int | None
    """Images that the work went over."""


class LossRow(Strict):
    """A round of training of the federated arm."""

    phase: str
    """Of the study."""
    round: int
    """Of the phase."""
    stage: str
    """What was trained."""
    loss: Number
    """Cross-entropy per training image, in nats."""
    validation_loss: Number
    """Cross-entropy per validation image of the model that the round started from."""
    validation_accuracy: Number
    """Share of validation images that this model classified rightly."""


class ScoreRow(Strict):
    """One measure of one arm."""

    arm: str
    """Who trained the model, or the baseline's name."""
    classifier: str
    """booster or softmax; of a baseline, probe."""
    site: str
    """Whose images were predicted; `all`: every site's."""
    part: str
    """test or validation."""
    measure: str
    """accuracy, macro_f1, macro_auc, ece, brier or log_loss."""
    value: Number
    """Of all images predicted."""
    low: Number
    """Lower end of the 95 % interval over groups, where there is one."""
    high: Number
    """Its upper end."""
    examples: int
    """Images predicted."""


class ClassRow(Strict):
    """One class of one arm against the rest, on the test images of all sites."""

    arm: str
    """Who trained the model, or the baseline's name."""
    classifier: str
    """booster or softmax; of a baseline, probe."""
    label: str
    """The class."""
    examples: int
    """Its images."""
    sensitivity: Number
    """TP / (TP + FN)."""
    specificity: Number
    """TN / (TN + FP)."""
    precision: Number
    """TP / (TP + FP)."""
    f1: Number
    """2 TP / (2 TP + FP + FN)."""
    auc: Number
    """Area under the ROC."""


class ConfusionRow(Strict):
    """A cell of a confusion matrix, on the test images of all sites."""

    arm: str
    """Who trained the model, or the baseline's name."""
    classifier: str
    """booster or softmax; of a baseline, probe."""
    truth: str
    """The class."""
    predicted: str
    """What was predicted."""
    images: int
    """How many."""


class PhaseRow(Strict):
    """What a phase of the federated arm cost at a site."""

    phase: str
    """Of the study."""
    site: str
    """Of the study."""
    bytes_down: int | None
    """Bytes to the site."""
    bytes_up: int | None
    """Bytes from the site."""
    seconds: float | None
    """Seconds of work, as the site tells."""


class AttendanceRow(Strict):
    """What became of a site in a round of the federated arm."""

    phase: str
    """Of the study."""
    round: int
    """Of the phase; 0 prepares it."""
    site: str
    """Of the study."""
    mark: Mark
    """answered, late, missing, refused, rejected or left out."""


class ImageRow(Strict):
    """How many images a site holds; a class that it withholds has no row."""

    site: str
    """Of the study."""
    part: str
    """train, validation or test."""
    label: str
    """The class."""
    images: int
    """How many."""


class SecondsRow(Strict):
    """How long an arm took."""

    arm: str
    """Its name; `total`: the whole run."""
    seconds: float
    """Wall-clock."""


class SettingRow(Strict):
    """A setting of the study, defaults filled in."""

    field: str
    """Its dotted path; an entry of a list by its number."""
    value: str
    """As JSON."""
