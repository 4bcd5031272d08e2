"""Temperature from sums against an optimiser that sees the pooled rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from common.statistics.counts import UNIT
from common.statistics.temperature import GRID, best_temperature, calibrated, temperature_sums

Rows = tuple[NDArray[np.float64], NDArray[np.int64]]


def rows(sharpness: float, n: int = 1500, seed: int = 0) -> Rows:
    """Draw labels from softmax(z) and report softmax(sharpness z): the best T is `sharpness`."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(n, 4))
    shares = np.exp(log_softmax(logits, axis=1)).cumsum(axis=1)
    truth = (generator.random((n, 1)) > shares).sum(axis=1).clip(max=3)
    return log_softmax(sharpness * logits, axis=1), truth.astype(np.int64)


def optimum(log_probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    def loss(log_temperature: float) -> float:
        tempered = log_softmax(log_probabilities / np.exp(log_temperature), axis=1)
        return float(-tempered[np.arange(len(truth)), truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 3), method="bounded").x))


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 1.7, 3.0, 6.0])
def test_equals_the_optimum_over_pooled_rows(sharpness: float) -> None:
    logs, truth = rows(sharpness)
    found = best_temperature(temperature_sums(logs, truth))
    assert_allclose(found, optimum(logs, truth), rtol=2e-3)
    assert_allclose(found, sharpness, rtol=0.1)


def test_each_sum_is_a_log_loss() -> None:
    logs, truth = rows(2.0, n=200)
    sums = temperature_sums(logs, truth) * UNIT
    for place in (20, 40, 64):  # colder, single losses reach their bound
        expected = log_loss(truth, calibrated(logs, GRID[place]), labels=range(4))
        assert_allclose(sums[place] / len(truth), expected, rtol=1e-7)


def test_sites_sums_add_to_the_pooled_sums() -> None:
    logs, truth = rows(1.7, n=300)
    cuts = [slice(0, 50), slice(50, 51), slice(51, 300)]
    parts = [temperature_sums(logs[cut], truth[cut]) for cut in cuts]
    assert_array_equal(sum(parts), temperature_sums(logs, truth))


def test_nothing_to_calibrate_by_leaves_probabilities_as_they_are() -> None:
    assert best_temperature(temperature_sums(np.empty((0, 3)), np.empty(0, np.int64))) == 1.0


def test_without_an_optimum_inside_the_grid_its_end_is_taken() -> None:
    always_right = np.log([[0.7, 0.3]] * 20), np.zeros(20, np.int64)
    always_wrong = np.log([[0.1, 0.9]] * 20), np.zeros(20, np.int64)
    assert best_temperature(temperature_sums(*always_right)) == GRID[0]
    assert best_temperature(temperature_sums(*always_wrong)) == GRID[-1]


def test_an_impossible_truth_costs_a_bounded_loss() -> None:
    logs = np.array([[0.0, -np.inf], [np.log(0.5), np.log(0.5)]])
    sums = temperature_sums(logs, np.array([1, 0])) * UNIT
    assert_allclose(sums, 100 + np.log(2), rtol=1e-9)


def test_calibrated_probabilities() -> None:
    probabilities = np.array([[0.64, 0.04, 0.32]])
    assert_allclose(calibrated(np.log(probabilities), 1.0), probabilities)
    halved = np.sqrt(probabilities)
    assert_allclose(calibrated(np.log(probabilities), 2.0), halved / halved.sum())
