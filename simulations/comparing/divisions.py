"""Repeated divisions of virtual sites' images into folds: every group is tested once in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.data.splits import draw_parts, misfit
from common.errors import DataError
from common.seeds import stream
from simulations.folds import Fold

_VALIDATION = 0.25  # of what a fold does not test
_DRAWS = 400  # of which the best is taken; with many more, divisions of all seeds would be alike


def drawn_folds(
    labels: NDArray[np.int64],
    groups: Sequence[str],
    sites: NDArray[np.int64],
    folds: int,
    seed: int,
) -> tuple[Fold, ...]:
    """Divide images of several sites into folds by group; another seed, another division.

    `simulations.folds.group_folds` deals groups in the order of their sizes, whatever the seed:
    repeated, it would test nearly the same images together again. Here whole divisions are drawn,
    and of many that one is taken which leaves the sites most classes to train on, and then gives
    every class its most even share of each part.

    Args:
        labels: int64 (n,).
        groups: n values; images with the same one stay together.
        sites: int64 (n,), which site holds each image.
        folds: how many; every image is in the test part of exactly one.
        seed: of the draws.

    Raises:
        DataError: the groups are too few: a part would be empty, or a site would have nothing to
            train on.
    """
    names, group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    held = np.zeros((len(names), int(sites.max()) + 1, int(labels.max()) + 1), dtype=np.int64)
    np.add.at(held, (group, sites, labels), 1)
    draw = _Draw(stream(seed, "folds"))
    tested = draw.best(held, np.full(folds, 1 / folds), tuple(range(folds)))
    found = []
    for number in range(folds):
        part = np.full(len(names), 2)
        rest = np.flatnonzero(tested != number)
        part[rest] = draw.best(held[rest], np.array([1 - _VALIDATION, _VALIDATION]), (1,))
        if not held[part == 0].any(axis=(0, 2)).all():
            raise _too_few(
                len(names), f"in fold {number + 1} a site would have nothing to train on"
            )
        found.append(Fold(*(np.flatnonzero(part[group] == p).astype(np.int64) for p in range(3))))
    return tuple(found)


def lacking(fold: Fold, labels: NDArray[np.int64], sites: NDArray[np.int64]) -> int:
    """Count the pairs of site and class that have images, but none to train on in this fold."""
    pairs = sites * (int(labels.max()) + 1) + labels
    return len(np.unique(pairs)) - len(np.unique(pairs[fold.train]))


@dataclass(frozen=True)
class _Draw:
    generator: np.random.Generator

    def best(
        self, held: NDArray[np.int64], shares: NDArray[np.float64], held_back: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return the best part of each group, of many draws.

        Args:
            held: int64 (groups, sites, classes), images.
            shares: of the parts.
            held_back: parts each of which, in its turn, is kept from training.
        """
        counts = held.sum(axis=1).astype(np.float64)
        present = held.any(axis=0)

        def unfitness(parts: NDArray[np.int64]) -> tuple[int, int, float]:
            empty, uneven = misfit(counts, shares, parts)
            left = (held[parts != part].any(axis=0) for part in held_back)
            return empty, sum(int((present & ~one).sum()) for one in left), uneven

        draws = (draw_parts(counts, shares, self.generator) for _ in range(_DRAWS))
        best = min(draws, key=unfitness)
        if unfitness(best)[0]:
            raise _too_few(len(held), "a part of a fold would be empty")
        return best


def _too_few(groups: int, why: str) -> DataError:
    return DataError(
        f"{groups} groups are too few or too unequal: {why}",
        fix="ask for another number of folds, name fewer sites, or give images of more patients",
    )
