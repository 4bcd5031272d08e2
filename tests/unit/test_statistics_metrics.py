"""Every metric against scikit-learn, on predictions that it sees and we have only counts of."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from sklearn import metrics as sk

from common.statistics import metrics
from common.statistics.counts import SCORE_BINS, EvaluationCounts, no_counts, tally

CLASSES = 4


@pytest.fixture(params=[(), (2,), (0, 3)], ids=["all classes", "one absent", "two absent"])
def case(
    request: pytest.FixtureRequest,
) -> tuple[NDArray[np.float64], NDArray[np.int64], EvaluationCounts]:
    absent: tuple[int, ...] = request.param
    generator = np.random.default_rng(len(absent))
    truth = generator.choice([k for k in range(CLASSES) if k not in absent], 400).astype(np.int64)
    logits = generator.normal(size=(400, CLASSES))
    logits[np.arange(400), truth] += 1.4
    probabilities = np.exp(2 * logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    groups = [i // 4 for i in range(400)]
    return probabilities, truth, tally(probabilities, truth, groups, 60, generator)


Case = tuple[NDArray[np.float64], NDArray[np.int64], EvaluationCounts]


def test_confusion_and_accuracy(case: Case) -> None:
    probabilities, truth, counts = case
    predicted = probabilities.argmax(axis=1)
    expected = sk.confusion_matrix(truth, predicted, labels=range(CLASSES))
    assert_array_equal(counts.confusion, expected)
    assert_allclose(metrics.accuracy(counts.confusion), sk.accuracy_score(truth, predicted))


def test_per_class_figures(case: Case) -> None:
    probabilities, truth, counts = case
    predicted = probabilities.argmax(axis=1)
    options = {"labels": range(CLASSES), "average": None, "zero_division": np.nan}
    assert_allclose(
        metrics.sensitivity(counts.confusion), sk.recall_score(truth, predicted, **options)
    )
    assert_allclose(
        metrics.precision(counts.confusion), sk.precision_score(truth, predicted, **options)
    )
    specificity = [
        sk.recall_score(truth != k, predicted != k, zero_division=np.nan) for k in range(CLASSES)
    ]
    assert_allclose(metrics.specificity(counts.confusion), specificity)


def test_macro_f1_is_the_mean_over_classes_that_occurred(case: Case) -> None:
    probabilities, truth, counts = case
    present = np.unique(truth)
    expected = sk.f1_score(truth, probabilities.argmax(axis=1), labels=present, average=None)
    found = metrics.f1(counts.confusion)
    assert_allclose(found[present], expected)
    assert np.isnan(np.delete(found, present)).all()
    assert_allclose(metrics.macro(found), np.mean(expected))


def test_auc_is_scikit_learns_on_the_binned_scores(case: Case) -> None:
    probabilities, truth, counts = case
    places = np.stack([bins_of(probabilities[:, k]) for k in range(CLASSES)], axis=1)
    found = metrics.auc(counts.scores)
    for k in range(CLASSES):
        if (truth == k).any():
            assert_allclose(found[k], sk.roc_auc_score(truth == k, places[:, k]))
        else:
            assert np.isnan(found[k])


def test_auc_differs_from_the_raw_scores_by_no_more_than_half_the_ties(case: Case) -> None:
    """A pair in one bin counts half; the truth is 0, 1 or half: half a pair off at most."""
    probabilities, truth, counts = case
    for k in np.unique(truth):
        negatives, positives = counts.scores[k]
        most = 0.5 * (negatives * positives).sum() / (negatives.sum() * positives.sum())
        raw = sk.roc_auc_score(truth == k, probabilities[:, k])
        assert abs(metrics.auc(counts.scores)[k] - raw) <= most + 1e-12
        assert most < 0.01


def test_the_roc_passes_through_scikit_learns_points(case: Case) -> None:
    probabilities, truth, counts = case
    for k in np.unique(truth):
        curve = metrics.roc(counts.scores[k])
        x, y, _ = sk.roc_curve(truth == k, bins_of(probabilities[:, k]), drop_intermediate=False)
        assert_allclose(curve.false_positive_rate, x)
        assert_allclose(curve.true_positive_rate, y)


def test_losses(case: Case) -> None:
    probabilities, truth, counts = case
    brier = sum(
        np.mean((probabilities[:, k] - (truth == k)) ** 2) for k in range(probabilities.shape[1])
    )
    assert_allclose(metrics.brier_score(counts), brier, atol=1e-8)
    log_loss = sk.log_loss(truth, probabilities, labels=range(CLASSES))
    assert_allclose(metrics.log_loss(counts), log_loss, atol=1e-8)


def test_calibration_error_is_that_of_the_pooled_rows(case: Case) -> None:
    probabilities, truth, counts = case
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = np.digitize(confidence, np.arange(1, 15) / 15)
    gaps = [
        abs(correct[place == b].mean() - confidence[place == b].mean()) * np.mean(place == b)
        for b in np.unique(place)
    ]
    assert_allclose(metrics.calibration_error(counts.calibration), sum(gaps), atol=1e-8)


def test_intervals_are_percentiles_of_every_replicates_own_figure(case: Case) -> None:
    counts = case[2]
    scores = []
    for confusion in counts.replicate_confusion:
        truth = np.repeat(np.arange(CLASSES), confusion.sum(axis=1))
        predicted = np.concatenate([np.repeat(np.arange(CLASSES), row) for row in confusion])
        scores.append(sk.f1_score(truth, predicted, labels=np.unique(truth), average="macro"))
    expected = np.percentile(scores, [2.5, 97.5])
    assert_allclose(metrics.intervals(counts)["macro_f1"], expected)


def test_a_classifier_without_skill_has_an_auc_of_one_half() -> None:
    scores = np.zeros((1, 2, SCORE_BINS), np.int64)
    scores[0, :, 7] = 5, 9
    assert_array_equal(metrics.auc(scores), [0.5])
    assert metrics.roc(scores[0]) == metrics.Curve((0.0, 1.0), (0.0, 1.0))


def test_figures_of_nothing_are_not_numbers() -> None:
    nothing = no_counts(3, 20)
    assert np.isnan(metrics.accuracy(nothing.confusion))
    assert np.isnan(metrics.macro(metrics.f1(nothing.confusion)))
    assert np.isnan(metrics.auc(nothing.scores)).all()
    assert np.isnan(metrics.intervals(nothing)["accuracy"]).all()


def bins_of(p: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place probabilities in 256 bins, even in the logit from -12 to 12."""
    edges = np.linspace(-12, 12, SCORE_BINS + 1)[1:-1]
    places: NDArray[np.int64] = np.digitize(np.log(p) - np.log1p(-p), edges)
    return places
