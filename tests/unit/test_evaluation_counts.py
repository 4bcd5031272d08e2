"""Counting predictions: what is counted, and how groups are drawn anew."""

from collections.abc import Hashable, Sequence

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from common.statistics.counts import UNIT, EvaluationCounts, no_counts, tally
from common.statistics.metrics import accuracy, intervals


def one_hot(predicted: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    return np.eye(classes)[predicted]


def count(
    truth: list[int],
    predicted: list[int],
    groups: Sequence[Hashable],
    replicates: int = 50,
    seed: int = 0,
) -> EvaluationCounts:
    return tally(
        one_hot(np.array(predicted), 2),
        np.array(truth),
        groups,
        replicates,
        np.random.default_rng(seed),
    )


def test_rows_of_the_confusion_are_the_truth() -> None:
    counts = count([0, 0, 1], [1, 1, 1], [1, 2, 3])
    assert_array_equal(counts.confusion, [[0, 2], [0, 1]])
    assert counts.examples == 3


def test_calibration_bins_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.35, 0.65], [0.95, 0.05]])
    counts = tally(probabilities, np.array([0, 0, 1]), "abc", 20, np.random.default_rng(0))
    n, confidence, correct = counts.calibration
    assert_array_equal(np.flatnonzero(n), [9, 13, 14])
    assert_array_equal(n[[9, 13, 14]], 1)
    np.testing.assert_allclose(confidence[[9, 13, 14]] * UNIT, [0.65, 0.9, 0.95], atol=UNIT)
    assert_array_equal(correct[[9, 13, 14]], [0, 1, 0])


def test_certain_predictions_stay_inside_the_bins() -> None:
    counts = count([0, 1, 1], [0, 1, 0], [1, 2, 3])
    assert counts.scores.sum() == 6
    assert_array_equal(counts.scores[0, 1, [0, -1]], [0, 1])
    assert_array_equal(counts.scores[0, 0, [0, -1]], [1, 1])
    assert counts.calibration[0, -1] == 3
    np.testing.assert_allclose(counts.losses * UNIT, [2.0, -np.log(1e-12)])


def test_a_group_is_drawn_whole() -> None:
    """Three groups of 1, 10 and 100 images: the digits of a replicate's size say who was drawn."""
    groups: Sequence[Hashable] = ["a"] * 1 + ["b"] * 10 + ["c"] * 100
    counts = count([0] * 111, [0] * 111, groups, replicates=200)
    sizes = counts.replicate_confusion.sum(axis=(1, 2))
    digits = np.stack([sizes // 100, sizes // 10 % 10, sizes % 10])
    assert_array_equal(digits.sum(axis=0), 3)
    assert len(np.unique(sizes)) == 10  # every way of drawing three of three


def test_a_groups_right_and_wrong_images_stay_together() -> None:
    """Each group has one right and two wrong images, so every replicate has that share."""
    truth, predicted = [0, 0, 0] * 8, [0, 1, 1] * 8
    counts = count(truth, predicted, [i // 3 for i in range(24)])
    np.testing.assert_allclose(accuracy(counts.replicate_confusion), 1 / 3)


def test_the_only_group_of_a_class_may_be_drawn_never_or_often() -> None:
    """Drawn once every time, it would count as if another patient could not have come."""
    truth = [0] * 4 + [1] * 8
    counts = count(truth, truth, [i // 4 for i in range(12)], replicates=400)
    drawn = counts.replicate_confusion[:, 0].sum(axis=1) // 4
    times = np.bincount(drawn, minlength=4) / 400
    np.testing.assert_allclose(times, np.array([8, 12, 6, 1]) / 27, atol=0.08)  # binomial(3, 1/3)


def test_replicates_of_scores_are_of_the_same_draws() -> None:
    generator = np.random.default_rng(5)
    probabilities = generator.dirichlet([1, 1, 1], 60)
    truth = generator.integers(0, 3, 60)
    counts = tally(probabilities, truth, [i // 4 for i in range(60)], 30, generator)
    assert_array_equal(
        counts.replicate_scores[:, :, 1].sum(axis=-1), counts.replicate_confusion.sum(axis=2)
    )


def test_two_classifiers_on_one_stream_are_drawn_together() -> None:
    truth = np.random.default_rng(1).integers(0, 2, 90).tolist()
    groups: Sequence[Hashable] = [i // 3 for i in range(90)]
    first, second = count(truth, truth, groups), count(truth, [0] * 90, groups)
    assert_array_equal(
        first.replicate_confusion.sum(axis=2), second.replicate_confusion.sum(axis=2)
    )


@pytest.mark.parametrize(("of_groups", "least", "most"), [(True, 0.87, 1.0), (False, 0.3, 0.75)])
def test_intervals_over_groups_cover_the_truth(of_groups: bool, least: float, most: float) -> None:
    """Eight images of a patient stand or fall together: by image, intervals are too narrow."""
    generator = np.random.default_rng(7)
    right, patients, images = 0.8, 40, 8
    covered = []
    for _ in range(80):
        is_right = np.repeat(generator.random(patients) < right, images)
        truth = np.repeat(np.arange(patients) % 2, images)
        names = np.arange(len(truth)) // (images if of_groups else 1)
        predicted = np.where(is_right, truth, 1 - truth)
        counts = tally(one_hot(predicted, 2), truth, names.tolist(), 80, generator)
        low, high = intervals(counts)["accuracy"]
        covered.append(low <= right <= high)
    assert least <= np.mean(covered) <= most


def test_a_site_without_images_adds_nothing() -> None:
    empty = tally(np.empty((0, 2)), np.empty(0, np.int64), [], 50, np.random.default_rng(0))
    counts = count([0, 1], [0, 1], [1, 2])
    for name, array in (counts + empty).to_arrays().items():
        assert_array_equal(array, counts.to_arrays()[name])
    for name, array in no_counts(2, 50).to_arrays().items():
        assert_array_equal(array, empty.to_arrays()[name], strict=True)


def test_counts_come_back_from_arrays() -> None:
    counts = count([0, 1], [0, 1], [1, 2])
    again = EvaluationCounts.from_arrays(counts.to_arrays())
    for name, array in again.to_arrays().items():
        assert_array_equal(array, counts.to_arrays()[name], strict=True)
        assert array.dtype == np.int64
