"""Two classifiers that a federation must beat: logistic regressions on what is free."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from common.errors import DataError

PROBE_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
# 24 statistics hardly overfit. A penalty as strong as thousands of features need would hide a
# tenth of what the stain gives away.
COLOUR_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
_MOST_ITERATIONS = 20_000  # a hundred times what either has been seen to need

Rows = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted baseline."""

    pipeline: Pipeline
    classes: int
    strength: float  # scikit-learn's C, the inverse of the penalty
    validation_macro_f1: float

    def probabilities(self, x: Rows) -> NDArray[np.float64]:
        """Predict float64 (n, classes) from (n, features); 0 for a class never trained on."""
        found = np.zeros((len(x), self.classes))
        if len(x):
            found[:, self.pipeline.classes_] = self.pipeline.predict_proba(x)
        return found


def linear_probe(
    train_x: Rows,
    train_y: NDArray[np.int64],
    validation_x: Rows,
    validation_y: NDArray[np.int64],
    *,
    classes: int,
    is_balanced: bool = False,
) -> Probe:
    """Fit multinomial logistic regression on standardised frozen features.

    The strength is the one of `PROBE_STRENGTHS` with the best macro F1, over the classes that
    occur, on the validation images; of equals the smallest.

    Args:
        train_x: (n, features), of all backbones side by side.
        train_y: int64 (n,), in 0..classes-1.
        validation_x: (m, features).
        validation_y: int64 (m,).
        classes: of the study.
        is_balanced: weight the training images so that every class weighs the same.

    Raises:
        DataError: there are no validation images, or fewer than two classes to train on.
    """
    train, validation = (train_x, train_y), (validation_x, validation_y)
    return _best(train, validation, classes, PROBE_STRENGTHS, is_balanced=is_balanced)


def colour_only(
    train_x: Rows,
    train_y: NDArray[np.int64],
    validation_x: Rows,
    validation_y: NDArray[np.int64],
    *,
    classes: int,
) -> Probe:
    """Do the same on `common.imaging.colour.colour_statistics`, with `COLOUR_STRENGTHS`.

    It sees neither shape nor texture: what it reaches, the stain alone gives away.
    """
    train, validation = (train_x, train_y), (validation_x, validation_y)
    return _best(train, validation, classes, COLOUR_STRENGTHS)


def _best(
    train: tuple[Rows, NDArray[np.int64]],
    validation: tuple[Rows, NDArray[np.int64]],
    classes: int,
    strengths: Sequence[float],
    *,
    is_balanced: bool = False,
) -> Probe:
    present = len(np.unique(train[1]))
    if present < 2 or not len(validation[1]):
        raise DataError(
            f"a baseline cannot be fitted on {present} classes and {len(validation[1])} "
            "validation images",
            fix="divide the images so that all sites together have validation images, and "
            "training images of two classes at least",
        )
    probes = [
        _fitted(train, validation, classes, strength, is_balanced=is_balanced)
        for strength in strengths
    ]
    return max(probes, key=lambda probe: (probe.validation_macro_f1, -probe.strength))


def _fitted(
    train: tuple[Rows, NDArray[np.int64]],
    validation: tuple[Rows, NDArray[np.int64]],
    classes: int,
    strength: float,
    *,
    is_balanced: bool,
) -> Probe:
    regression = LogisticRegression(
        C=strength,
        max_iter=_MOST_ITERATIONS,
        class_weight="balanced" if is_balanced else None,
    )
    pipeline = make_pipeline(StandardScaler(), regression).fit(*train)
    x, truth = validation
    score = f1_score(
        truth, pipeline.predict(x), labels=np.unique(truth), average="macro", zero_division=0
    )
    return Probe(pipeline, classes, strength, float(score))
