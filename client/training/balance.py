"""Rare classes made to count as much as common ones, by weights or by drawing them more often."""

import numpy as np
from numpy.typing import NDArray

_HEAVIEST = 10.0
"""Most that an image counts, in shares of an even draw: three images cannot speak for a class."""


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weight of each image, float64 (n,), of mean 1: inverse to its class's frequency.

    w = n / (classes present * images of the class), at most 10, then divided by the mean over the
    images. The frequencies are this site's own. Those of all sites would make the sum over sites
    the pooled weighted loss, but they would have to be told to every site, and of two hospitals
    each could then subtract its own counts from them. Since the mean weight is 1, a site's weighted
    losses still sum up to a loss per image, and those of all sites add.

    Args:
        labels: int64 (n,).
    """
    counts = np.bincount(labels)
    weights = np.minimum(len(labels) / (np.count_nonzero(counts) * counts[labels]), _HEAVIEST)
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def balanced_draw(
    labels: NDArray[np.int64], views: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw as many images as there are, each as often as its weight says, and a view for each.

    A pass stays as long as without balancing: images of rare classes are drawn several times, each
    time in another view until all views were had, and some of the common ones wait for the next
    pass.

    Args:
        labels: int64 (n,).
        views: how many views each image has.
        generator: draws.

    Returns:
        Numbers of images and of views, both int64 (n,), in random order.
    """
    shares = np.bincount(labels, weights=class_weights(labels)).astype(np.float64)
    drawn = []
    for label, wanted in enumerate(_whole_numbers(shares)):
        own = generator.permutation(np.flatnonzero(labels == label))
        if len(own):
            drawn.append(np.resize(own, wanted))  # from the start again, once all were drawn
    images = np.concatenate(drawn)
    first = generator.integers(views, size=len(labels))
    turn = _occurrence(images)
    order = generator.permutation(len(images))
    return images[order], ((first[images] + turn) % views)[order]


def _whole_numbers(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round to whole numbers of the same sum: the largest remainders are rounded up."""
    whole = np.floor(shares).astype(np.int64)
    missing = round(shares.sum()) - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:missing]] += 1
    return whole


def _occurrence(images: NDArray[np.int64]) -> NDArray[np.int64]:
    """Say of each entry how many equal ones stand before it."""
    order = np.argsort(images, kind="stable")
    ordered = images[order]
    first = np.searchsorted(ordered, ordered)
    turn = np.empty_like(images)
    turn[order] = np.arange(len(images)) - first
    return turn
