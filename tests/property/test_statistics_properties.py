"""Counts add: however images are spread over sites, the sum is that of the pooled images."""

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from common.statistics import metrics
from common.statistics.counts import EvaluationCounts, no_counts, tally
from common.statistics.temperature import temperature_sums

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

REPLICATES = 5
POOLED_FIELDS = ("confusion", "scores", "calibration", "losses")  # the rest is drawn by site


@dataclass(frozen=True)
class Predictions:
    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]
    site: NDArray[np.int64]  # which site holds each image

    def of(self, site: int) -> EvaluationCounts:
        held = self.site == site
        return count(self.probabilities[held], self.truth[held], site)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    classes, n = draw(st.integers(2, 5)), draw(st.integers(0, 40))
    raw = draw(arrays(np.float64, (n, classes), elements=st.floats(0, 1)))
    raised = raw**8 + 1e-9
    return Predictions(
        raised / raised.sum(axis=1, keepdims=True),
        draw(arrays(np.int64, n, elements=st.integers(0, classes - 1))),
        draw(arrays(np.int64, n, elements=st.integers(0, 3))),
    )


def count(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], site: int
) -> EvaluationCounts:
    groups = [i // 3 for i in range(len(truth))]
    return tally(probabilities, truth, groups, REPLICATES, np.random.default_rng(site))


@given(predictions(), st.permutations(range(4)))
def test_the_sum_over_sites_is_the_pooled_count(p: Predictions, order: list[int]) -> None:
    nothing = no_counts(p.probabilities.shape[1], REPLICATES)
    total = reduce(add, (p.of(site) for site in order), nothing)
    pooled = count(p.probabilities, p.truth, 0)
    for name in POOLED_FIELDS:
        assert_array_equal(total.to_arrays()[name], pooled.to_arrays()[name], strict=True)


@given(predictions(), st.permutations(range(4)))
def test_the_order_of_sites_changes_nothing(p: Predictions, order: list[int]) -> None:
    forth = reduce(add, (p.of(site) for site in range(4)))
    shuffled = reduce(add, (p.of(site) for site in order))
    for name, array in forth.to_arrays().items():
        assert_array_equal(shuffled.to_arrays()[name], array, strict=True)


@given(predictions())
def test_counts_are_consistent(p: Predictions) -> None:
    counts = count(p.probabilities, p.truth, 0)
    n, classes = p.probabilities.shape
    assert counts.examples == n
    assert counts.scores.sum() == n * classes
    assert_array_equal(counts.scores[:, 1].sum(axis=-1), counts.confusion.sum(axis=1))
    assert counts.calibration[0].sum() == n
    assert counts.calibration[2].sum() == np.trace(counts.confusion)
    assert (counts.calibration[1] >= 0).all()


@given(predictions())
def test_figures_stay_between_zero_and_one(p: Predictions) -> None:
    counts = count(p.probabilities, p.truth, 0)
    for values in (
        metrics.accuracy(counts.confusion),
        metrics.sensitivity(counts.confusion),
        metrics.specificity(counts.confusion),
        metrics.precision(counts.confusion),
        metrics.f1(counts.confusion),
        metrics.auc(counts.scores),
        np.array([metrics.calibration_error(counts.calibration)]),
        np.array([end for ends in metrics.intervals(counts).values() for end in ends]),
    ):
        known = values[~np.isnan(values)]
        assert ((known >= 0) & (known <= 1)).all()


@given(predictions())
def test_renaming_the_classes_changes_no_macro_figure(p: Predictions) -> None:
    turned = np.roll(np.arange(p.probabilities.shape[1]), 1)
    first = count(p.probabilities, p.truth, 0)
    second = count(p.probabilities[:, turned], np.argsort(turned)[p.truth], 0)
    np.testing.assert_allclose(
        metrics.macro(metrics.auc(first.scores)), metrics.macro(metrics.auc(second.scores))
    )
    np.testing.assert_allclose(metrics.brier_score(first), metrics.brier_score(second), atol=1e-8)


@given(predictions())
def test_the_roc_rises_from_corner_to_corner_and_encloses_the_auc(p: Predictions) -> None:
    counts = count(p.probabilities, p.truth, 0)
    areas = metrics.auc(counts.scores)
    for scores, area in zip(counts.scores, areas, strict=True):
        curve = metrics.roc(scores)
        x, y = np.array(curve.false_positive_rate), np.array(curve.true_positive_rate)
        assert (np.diff(x) >= 0).all()
        assert (np.diff(y) >= 0).all()
        if not np.isnan(area):
            assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
            np.testing.assert_allclose(np.trapezoid(y, x), area)


@given(predictions())
def test_temperature_sums_add(p: Predictions) -> None:
    logs = np.log(p.probabilities)
    parts = [temperature_sums(logs[p.site == s], p.truth[p.site == s]) for s in range(4)]
    assert_array_equal(sum(parts), temperature_sums(logs, p.truth), strict=True)
