from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import DataError
from simulations.folds import Fold, group_folds, image_folds, out_of_fold, spread

SIZES = (30, 3, 17, 8, 21, 5, 5, 12, 9, 2, 40, 6, 7, 11, 4, 16, 20, 3, 13, 10, 6, 8, 19, 15)


def images() -> tuple[NDArray[np.int64], list[str]]:
    """Groups of very different sizes, each of one of four classes, in mixed order."""
    groups = [f"G{number}" for number, size in enumerate(SIZES) for _ in range(size)]
    order = np.random.default_rng(1).permutation(len(groups))
    groups = [groups[i] for i in order]
    return np.array([int(group[1:]) % 4 for group in groups], dtype=np.int64), groups


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_group_is_tested_once_by_a_model_that_never_saw_it(folds: int) -> None:
    labels, groups = images()
    found = group_folds(labels, groups, folds, seed=1)
    assert len(found) == folds
    tested: Counter[str] = Counter()
    for fold in found:
        parts = (fold.train, fold.validation, fold.test)
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
        held = [{groups[i] for i in part} for part in parts]
        assert all(held), "a part is empty"
        assert len(set.union(*held)) == sum(map(len, held)), "a group lies in two parts"
        tested.update(held[2])
    assert tested == Counter(set(groups))


def test_each_class_is_tested_in_every_fold_as_far_as_groups_allow() -> None:
    labels, groups = images()
    for fold in group_folds(labels, groups, 3, seed=1):
        shares = np.bincount(labels[fold.test], minlength=4) / np.bincount(labels, minlength=4)
        assert (abs(shares - 1 / 3) < 0.2).all()
        assert set(labels[fold.train]) == {0, 1, 2, 3}


def test_folds_repeat_with_their_seed_and_change_with_another() -> None:
    labels, groups = images()
    first, again, other = (group_folds(labels, groups, 3, seed) for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.test, same.test)
        np.testing.assert_array_equal(one.validation, same.validation)
    assert any(not np.array_equal(a.test, b.test) for a, b in zip(first, other, strict=True))


def test_image_folds_divide_groups() -> None:
    labels, groups = images()
    found = image_folds(labels, 3, seed=1)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([fold.test for fold in found])), np.arange(len(labels))
    )
    largest = max(set(groups), key=groups.count)
    assert all(any(groups[i] == largest for i in fold.test) for fold in found)


def test_a_rare_class_is_no_fault() -> None:
    labels, groups = images()
    labels[0], groups[0] = 4, "alone"
    found = group_folds(labels, groups, 3, seed=1)
    assert sum(0 in fold.test for fold in found) == 1


@pytest.mark.parametrize(
    ("groups", "problem"),
    [(["a", "a", "b", "b"], "2 groups of 4 images are too few for 3 parts"),
     (["a", "b", "c", "d"] * 2, "groups of .* images are too few for 4 parts")],
)  # fmt: skip
def test_too_few_groups_are_told(groups: list[str], problem: str) -> None:
    labels = np.zeros(len(groups), dtype=np.int64)
    with pytest.raises(DataError, match=problem):
        group_folds(labels, groups, 3, seed=1)


def test_every_prediction_is_of_the_fold_that_tests_the_image() -> None:
    labels, groups = images()
    folds = group_folds(labels, groups, 3, seed=1)
    number = {id(fold): place for place, fold in enumerate(folds)}

    def fit(fold: Fold) -> NDArray[np.int64]:
        return np.full(len(fold.test), number[id(fold)])

    predicted = out_of_fold(folds, labels, fit)
    for place, fold in enumerate(folds):
        assert set(predicted[fold.test]) == {place}
    assert Counter(predicted.tolist()) == Counter(
        {place: len(fold.test) for place, fold in enumerate(folds)}
    )


@pytest.mark.parametrize("most", [24, 60, 151, 289])
def test_a_selection_takes_from_every_group_alike(most: int) -> None:
    _, groups = images()
    chosen = spread(groups, most, seed=1)
    assert len(set(chosen.tolist())) == len(chosen) == most
    assert (np.diff(chosen) > 0).all()
    kept, sizes = Counter(groups[i] for i in chosen), Counter(groups)
    assert set(kept) == set(sizes)
    cap = max(kept.values())
    assert all(kept[group] >= min(size, cap - 1) for group, size in sizes.items())


def test_a_selection_never_loses_a_group_nor_invents_an_image() -> None:
    _, groups = images()
    assert len(spread(groups, 1, seed=1)) == len(set(groups))
    np.testing.assert_array_equal(spread(groups, 10_000, seed=1), np.arange(len(groups)))


def test_another_seed_chooses_other_images() -> None:
    _, groups = images()
    np.testing.assert_array_equal(spread(groups, 60, seed=1), spread(groups, 60, seed=1))
    assert not np.array_equal(spread(groups, 60, seed=1), spread(groups, 60, seed=2))
