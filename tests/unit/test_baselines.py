from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from common.errors import DataError
from simulations.baselines import (
    COLOUR_STRENGTHS,
    PROBE_STRENGTHS,
    Probe,
    colour_only,
    linear_probe,
)

Data = tuple[NDArray[np.float64], NDArray[np.int64]]
Fit = Callable[..., Probe]
BOTH = pytest.mark.parametrize(
    ("fit", "strengths"),
    [(linear_probe, PROBE_STRENGTHS), (colour_only, COLOUR_STRENGTHS)],
    ids=["linear probe", "colour only"],
)


def clouds(seed: int, count: int = 60, spread: float = 1.5, classes: int = 3) -> Data:
    """Overlapping clouds in eight dimensions of very different scales."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 8))
    noise = generator.normal(size=(count, 8))
    return (centres[labels] + spread * noise) * np.logspace(-3, 3, 8), labels


def by_hand(train: Data, strength: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Standardise, fit, and apply the softmax, without a pipeline."""
    mean, deviation = train[0].mean(axis=0), train[0].std(axis=0)
    model = LogisticRegression(C=strength, max_iter=5000)
    model.fit((train[0] - mean) / deviation, train[1])
    return lambda x: softmax(((x - mean) / deviation) @ model.coef_.T + model.intercept_, axis=1)


@BOTH
def test_the_strength_is_the_best_on_the_validation_images(
    fit: Fit, strengths: tuple[float, ...]
) -> None:
    chosen = set()
    for seed in range(6):
        train, validation, test = clouds(seed, 45), clouds(seed + 50, 400), clouds(seed + 90)
        probe = fit(*train, *validation, classes=3)
        scores = [
            f1_score(validation[1], by_hand(train, c)(validation[0]).argmax(1), average="macro")
            for c in strengths
        ]
        assert probe.strength == strengths[int(np.argmax(scores))]
        assert probe.validation_macro_f1 == pytest.approx(max(scores))
        expected = by_hand(train, probe.strength)(test[0])
        np.testing.assert_allclose(probe.probabilities(test[0]), expected, atol=1e-6)
        chosen.add(probe.strength)
    assert len(chosen) > 1


@BOTH
def test_of_equally_good_strengths_the_smallest_is_taken(
    fit: Fit, strengths: tuple[float, ...]
) -> None:
    train, validation = clouds(1, spread=0.01), clouds(2, spread=0.01)
    probe = fit(*train, *validation, classes=3)
    assert (probe.strength, probe.validation_macro_f1) == (strengths[0], 1.0)


@BOTH
def test_a_class_never_trained_on_has_a_column_of_zeros(
    fit: Fit, strengths: tuple[float, ...]
) -> None:
    x, labels = clouds(3)
    y = np.array([0, 3, 4])[labels]
    probe = fit(x, y, x, y, classes=6)
    found = probe.probabilities(x)
    assert found.shape == (len(x), 6)
    np.testing.assert_array_equal(found[:, [1, 2, 5]], 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    dense = fit(x, labels, x, labels, classes=3)
    assert dense.strength == probe.strength
    np.testing.assert_allclose(found[:, [0, 3, 4]], dense.probabilities(x), atol=1e-9)


def test_two_classes_have_two_columns() -> None:
    train, validation = clouds(1, classes=2), clouds(2, classes=2)
    probe = linear_probe(*train, *validation, classes=2)
    found = probe.probabilities(validation[0])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert f1_score(validation[1], found.argmax(axis=1), average="macro") == pytest.approx(
        probe.validation_macro_f1
    )


def test_a_class_missing_from_validation_does_not_count_there() -> None:
    train, (x, y) = clouds(1, spread=0.01), clouds(2, spread=0.01)
    probe = linear_probe(*train, x[y < 2], y[y < 2], classes=3)
    assert probe.validation_macro_f1 == 1.0


def test_a_validation_class_never_trained_on_counts_as_missed() -> None:
    (x, y), validation = clouds(1, spread=0.01), clouds(2, spread=0.01)
    probe = linear_probe(x[y < 2], y[y < 2], *validation, classes=3)
    assert probe.validation_macro_f1 <= 2 / 3


def test_nothing_to_predict_gives_no_rows() -> None:
    train = clouds(1)
    probe = colour_only(*train, *train, classes=3)
    assert probe.probabilities(np.empty((0, 8))).shape == (0, 3)


@BOTH
def test_correlated_features_converge_without_a_warning(
    fit: Fit, strengths: tuple[float, ...]
) -> None:
    """Warnings are errors here; colour statistics are nearly collinear."""
    x, y = clouds(4, 300, spread=3.0)
    x = np.concatenate([x, x + 1e-6 * x[:, ::-1], x**2], axis=1)
    assert fit(x, y, x, y, classes=3).strength in strengths


@pytest.mark.parametrize(
    ("kept", "validated", "problem"), [(1, 10, "1 classes and 10"), (3, 0, "3 classes and 0")]
)
def test_what_cannot_be_fitted_is_said(kept: int, validated: int, problem: str) -> None:
    x, y = clouds(1)
    with pytest.raises(DataError, match=f"fitted on {problem} validation images"):
        linear_probe(x[y < kept], y[y < kept], x[:validated], y[:validated], classes=3)
