"""Doubtful labels: what a classifier that never saw an image says against its label."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from client.site_config import Quality
from common.errors import DataError

_FOLDS = 5
_STRENGTHS = (0.003, 0.01, 0.03, 0.1)  # scikit-learn's C: features are many, images few
_MOST_ITERATIONS = 2000

Probabilities = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""


def unwatched(done: int, of: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Suspect:
    """An image whose label is doubtful.

    Args:
        number: of the image.
        given: its label.
        likely: the class that was predicted instead.
        given_probability: out of fold, of the label.
        likely_probability: of the other class.
    """

    number: int
    given: int
    likely: int
    given_probability: float
    likely_probability: float


def out_of_fold(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: Sequence[str],
    seed: int,
    progress: Progress = unwatched,
) -> Probabilities:
    """Predict every image by logistic regression on the images of other groups.

    The penalty is the one of a few whose predictions have the lowest log-loss: one too strong
    or too weak makes probabilities that thresholds cannot be held against.

    Args:
        features: float32 (n, width).
        labels: int64 (n,), in 0..classes-1.
        groups: of each image; no group is on both sides of a fold.
        seed: of the division into folds.
        progress: told how many regressions are fitted, and of how many.

    Returns:
        float64 (n, classes): 0 for a class that the other folds lack.

    Raises:
        DataError: there are fewer than two classes, or of a class fewer than two groups.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    present = np.unique(labels)
    fewest = min((len(np.unique(numbers[labels == label])) for label in present), default=0)
    if len(present) < 2 or fewest < 2:
        raise DataError(
            f"labels cannot be compared with one another: {len(present)} classes, and of one of "
            f"them {fewest} groups",
            fix="add images: it takes two classes, and two groups (patients) of each",
        )
    divided = StratifiedGroupKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A regression that stops early still ranks, and so does a fold of uneven groups.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = list(divided.split(features, labels, numbers))
        found, fits = [], 0
        for strength in _STRENGTHS:
            found.append(np.zeros((len(labels), int(labels.max()) + 1)))
            for others, held_out in folds:
                progress(fits, len(folds) * len(_STRENGTHS))
                fits += 1
                if len(np.unique(labels[others])) > 1:
                    fitted = _fitted(features[others], labels[others], strength)
                    columns = np.ix_(held_out, fitted.classes_)
                    found[-1][columns] = fitted.predict_proba(features[held_out])
    return min(found, key=lambda probabilities: _log_loss(probabilities, labels))


def _fitted(features: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> Pipeline:
    regression = LogisticRegression(C=strength, max_iter=_MOST_ITERATIONS)
    return make_pipeline(StandardScaler(), regression).fit(features, labels)


def _log_loss(probabilities: Probabilities, labels: NDArray[np.int64]) -> float:
    own = probabilities[np.arange(len(labels)), labels]
    return -float(np.log(np.maximum(own, 1e-6)).mean())


def suspects(
    probabilities: Probabilities, labels: NDArray[np.int64], settings: Quality
) -> list[Suspect]:
    """Return the doubtful labels, the most doubtful first.

    Confident learning (Northcutt et al. 2021, Confident learning: estimating uncertainty in
    dataset labels, JAIR 70, equation 2): the threshold t_j of class j is the mean probability of
    j over the images labelled j, and an image labelled i counts as a j if p_j >= t_j, of several
    such j the most probable. Ours is stricter: p_i must also be no more than `suspect_given`, and
    p_j no less than `suspect_other`, since every name on the list costs a physician's look.

    Args:
        probabilities: float64 (n, classes), of images that the classifier did not see.
        labels: int64 (n,).
        settings: the two bounds.
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    thresholds = np.full(probabilities.shape[1], np.inf)
    for label in np.unique(labels):
        thresholds[label] = own[labels == label].mean()
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    likely = confident.argmax(axis=1)
    other = confident[rows, likely]
    is_suspect = (
        (likely != labels) & (own <= settings.suspect_given) & (other >= settings.suspect_other)
    )
    found = [
        Suspect(int(n), int(labels[n]), int(likely[n]), float(own[n]), float(other[n]))
        for n in np.flatnonzero(is_suspect)
    ]
    return sorted(found, key=lambda suspect: suspect.given_probability - suspect.likely_probability)
