"""Baselines fitted fold by fold: from features of every image to its out-of-fold prediction."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.seeds import stream
from common.study.phases import Balance
from simulations.baselines import Probe, linear_probe
from simulations.folds import Fold, Indices, out_of_fold
from simulations.screening import Ground, Predictions

Rows = NDArray[np.floating[Any]]
Fit = Callable[..., Probe]


def probed(
    ground: Ground,
    views: Sequence[Rows],
    fit: Fit = linear_probe,
    balance: Balance = "none",
) -> Predictions:
    """Fit a baseline on every fold of every division, and predict what the fold tests.

    Args:
        ground: n images and their folds.
        views: features (n, width) of each view. All views of the training images are trained on
            (with `balance: augmentation` the first of all, and further ones of rare classes only);
            validation and test images are seen as they are, in the first view.
        fit: one of `simulations.baselines`.
        balance: of the classes.
    """
    found = [
        out_of_fold(folds, ground.labels, partial(_tested, ground, views, fit, balance))
        for folds in ground.divisions
    ]
    return np.stack(found)


def _tested(
    ground: Ground, views: Sequence[Rows], fit: Fit, balance: Balance, fold: Fold
) -> NDArray[np.int64]:
    labels, first = ground.labels, views[0]
    if balance == "augmentation":
        images, numbers = topped_up(labels[fold.train], len(views))
        images = fold.train[images]
    else:
        images = np.tile(fold.train, len(views))
        numbers = np.repeat(np.arange(len(views)), len(fold.train))
    x = np.empty((len(images), first.shape[1]), dtype=first.dtype)
    for number, rows in enumerate(views):
        x[numbers == number] = rows[images[numbers == number]]
    weighted = {"is_balanced": True} if balance == "weights" else {}
    probe = fit(
        x, labels[images], first[fold.validation], labels[fold.validation],
        classes=len(ground.classes), **weighted,
    )  # fmt: skip
    return np.asarray(probe.probabilities(first[fold.test]).argmax(axis=1), dtype=np.int64)


def topped_up(labels: NDArray[np.int64], views: int) -> tuple[Indices, Indices]:
    """Choose images and views so that every class has as many as the largest, if views allow.

    Every image is there as it is; then come second views of images of the rare classes, drawn at
    random, third ones when those are used up, and so on.

    Args:
        labels: int64 (n,).
        views: how many views each image has.

    Returns:
        Numbers of images, and of the view of each.
    """
    generator = stream(0, "balance")
    images, numbers = [np.arange(len(labels))], [np.zeros(len(labels), dtype=np.int64)]
    sizes = np.bincount(labels)
    for label, size in enumerate(sizes):
        lacking = int(sizes.max() - size)
        for number in range(1, views):
            drawn = generator.permutation(np.flatnonzero(labels == label))[:lacking]
            lacking -= len(drawn)
            images.append(drawn)
            numbers.append(np.full(len(drawn), number, dtype=np.int64))
    return np.concatenate(images).astype(np.int64), np.concatenate(numbers)
