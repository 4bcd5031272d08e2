"""Folds for comparing arms: every image is tested once, by a model that never saw its group."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from common.errors import DataError
from common.seeds import seed_for, stream

_INNER = 4  # one part in four of what a fold does not test chooses the probe's strength

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """Image numbers in ascending order; no group lies in two of the three."""

    train: Indices
    validation: Indices
    test: Indices


def group_folds(
    labels: NDArray[np.int64], groups: Sequence[str], folds: int, seed: int
) -> list[Fold]:
    """Divide images into folds by group, each class as evenly as its groups allow.

    Args:
        labels: int64 (n,).
        groups: n values; images with the same one stay together.
        folds: how many; every image is in the test part of exactly one.
        seed: another seed, another division.

    Returns:
        The folds; the same for the same images, seed and order.

    Raises:
        DataError: the groups are too few to fill every part of every fold.
    """
    names = np.asarray(groups, dtype=np.str_)
    found: list[Fold] = []
    for number, (rest, test) in enumerate(_divided(labels, names, folds, seed, "outer")):
        inner = _divided(labels[rest], names[rest], _INNER, seed, f"inner {number}")
        train, validation = inner[0]
        found.append(Fold(rest[train], rest[validation], test))
    return found


def image_folds(labels: NDArray[np.int64], folds: int, seed: int) -> list[Fold]:
    """Divide images one by one, as if no two shared a slide: leaky, and only for comparison."""
    return group_folds(labels, [str(i) for i in range(len(labels))], folds, seed)


def out_of_fold(
    folds: Sequence[Fold], labels: NDArray[np.int64], fit: Callable[[Fold], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Gather every image's prediction, int64 (n,), from the fold that tests it.

    Args:
        folds: of n images.
        labels: int64 (n,); only their number is used.
        fit: trains on a fold, and predicts its test images.
    """
    predicted = np.full(len(labels), -1, dtype=np.int64)
    for fold in folds:
        predicted[fold.test] = fit(fold)
    return predicted


def spread(groups: Sequence[str], most: int, seed: int) -> Indices:
    """Choose at most so many images, from every group alike: large groups give up the most.

    Every group keeps min(its size, a cap common to all) images. What remains to be given out goes
    to groups drawn at random, so that the number is met.

    Args:
        groups: n values.
        most: how many images; at least one of each group is kept, whatever it says.
        seed: draws which images of a group stay.

    Returns:
        Image numbers in ascending order.
    """
    generator = stream(seed, "spread")
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    cap = 1
    while cap < sizes.max() and np.minimum(sizes, cap + 1).sum() <= most:
        cap += 1
    kept = np.minimum(sizes, cap)
    larger = generator.permutation(np.flatnonzero(sizes > cap))
    kept[larger[: max(0, most - int(kept.sum()))]] += 1
    order = generator.permutation(len(group))
    chosen = [order[group[order] == number][:count] for number, count in enumerate(kept)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _divided(
    labels: NDArray[np.int64], groups: NDArray[np.str_], parts: int, seed: int, purpose: str
) -> list[tuple[Indices, Indices]]:
    """Return what is left and what is held back, `parts` times, by scikit-learn's greedy rule."""
    count = len(np.unique(groups))
    if count < parts or np.bincount(labels).max(initial=0) < parts:
        raise DataError(
            f"{count} groups of {len(labels)} images are too few for {parts} parts",
            fix="ask for fewer folds, or give images of more patients",
        )
    splitter = StratifiedGroupKFold(
        parts, shuffle=True, random_state=seed_for(seed, "folds", purpose) % 2**32
    )
    with warnings.catch_warnings():
        # It warns of a class with fewer images than parts, which some part then lacks: no fault.
        warnings.simplefilter("ignore", UserWarning)
        pairs = [(np.sort(a), np.sort(b)) for a, b in splitter.split(labels, labels, groups)]
    if any(not len(held_back) for _, held_back in pairs):
        raise DataError(
            f"{count} groups are too unequal for {parts} parts: one would be empty",
            fix="ask for fewer folds",
        )
    return [(a.astype(np.int64), b.astype(np.int64)) for a, b in pairs]
