from collections import Counter

import numpy as np
import pytest

from common.errors import DataError
from simulations.comparing.divisions import drawn_folds, lacking

GENERATOR = np.random.default_rng(1)
SIZES = GENERATOR.integers(2, 40, size=48)
GROUPS = [f"G{number}" for number, size in enumerate(SIZES) for _ in range(size)]
LABELS = np.array([int(group[1:]) % 4 for group in GROUPS])
SITES = np.array([int(group[1:]) // 4 % 3 for group in GROUPS])


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_group_is_tested_once_by_a_model_that_never_saw_it(folds: int) -> None:
    tested: Counter[str] = Counter()
    for fold in drawn_folds(LABELS, GROUPS, SITES, folds, seed=1):
        parts = (fold.train, fold.validation, fold.test)
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(GROUPS)))
        held = [{GROUPS[i] for i in part} for part in parts]
        assert all(held)
        assert len(set.union(*held)) == sum(map(len, held))
        assert lacking(fold, LABELS, SITES) == 0
        tested.update(held[2])
    assert tested == Counter(set(GROUPS))


def test_classes_are_spread_evenly() -> None:
    whole = np.bincount(LABELS)
    for fold in drawn_folds(LABELS, GROUPS, SITES, 4, seed=1):
        assert (abs(np.bincount(LABELS[fold.test], minlength=4) / whole - 0.25) < 0.1).all()


def test_another_seed_brings_other_images_together() -> None:
    first, again, other = (drawn_folds(LABELS, GROUPS, SITES, 4, seed) for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.test, same.test)
        np.testing.assert_array_equal(one.validation, same.validation)
    overlap = [max(len(np.intersect1d(a.test, b.test)) for b in other) / len(a.test) for a in first]
    assert max(overlap) < 0.8


def test_too_few_groups_are_told() -> None:
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(DataError, match="too few or too unequal"):
        drawn_folds(labels, ["a", "a", "b", "b"], np.zeros(4, dtype=np.int64), 3, seed=1)
    with pytest.raises(DataError, match=r"nothing to train on|would be empty"):
        drawn_folds(labels, ["a", "b", "c", "d"], np.array([0, 1, 2, 3]), 2, seed=1)


def test_a_pair_without_training_images_is_counted() -> None:
    groups, labels, sites = list("abcdef"), np.array([0, 1, 0, 1, 0, 1]), np.zeros(6, dtype=int)
    (fold, _) = drawn_folds(labels, groups, sites, 2, seed=1)
    trained = {int(labels[i]) for i in fold.train}
    assert lacking(fold, labels, sites) == 2 - len(trained)
