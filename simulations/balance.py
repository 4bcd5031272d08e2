"""Groups dealt to sites and parts so that every class comes near its share in each of them."""

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = 0, 1, 2
FEWEST_TEST_GROUPS = 2  # of a class, over all sites: one alone says nothing about its spread
_PARTNERS = 64  # with which a group is exchanged on trial, in each pass: all, for small datasets

Unfitness = tuple[int, int, float]


def balance(
    counts: NDArray[np.int64],
    sites: int,
    shares: NDArray[np.float64],
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], Unfitness]:
    """Give each group one cell: a site and a part of it.

    The groups are dealt at random; then single groups are moved, and pairs exchanged, as long as
    that makes the whole fitter. Fitter means, in this order: every site has a training group of
    every class; every class has two test groups and one validation group over all sites; the
    images of each class in each cell, and in each part over all sites, are near their shares by
    Pearson's chi-squared. A class with few groups may still be absent from a site's test or
    validation part.

    Args:
        counts: int64 (groups, classes), images; no class without images.
        sites: how many share them equally.
        shares: float64 (3,), of training, validation and test; their sum is 1.
        generator: deals, and draws the order in which changes are tried.

    Returns:
        Site and part of each group, int64 (groups, 2); and what `Deal.unfitness` says of it.
    """
    deal = Deal(counts, sites, shares)
    open_cells = [cell for cell in range(sites * 3) if shares[cell % 3] > 0]
    for group in range(len(counts)):
        site, part = generator.integers(sites), generator.choice(3, p=shares)
        deal.put(group, int(site * 3 + part))
    fitness = deal.unfitness()
    while True:
        before = fitness
        for group in generator.permutation(len(counts)).tolist():
            fitness = _moved(deal, fitness, group, open_cells)
            partners = generator.permutation(len(counts))[:_PARTNERS]
            fitness = _exchanged(deal, fitness, group, partners.tolist())
        if fitness == before:
            return np.stack(np.divmod(deal.cells, 3), axis=1), fitness


class Deal:
    """The cell of every group, numbered site * 3 + part, and what the cells hold.

    Args:
        counts: int64 (groups, classes), images.
        sites: how many share them equally.
        shares: float64 (3,), of the parts.
    """

    def __init__(self, counts: NDArray[np.int64], sites: int, shares: NDArray[np.float64]) -> None:
        self.cells = np.full(len(counts), -1, dtype=np.int64)
        self._counts = counts
        self._has = counts > 0
        self._used = np.flatnonzero(shares > 0)
        self._images = np.zeros((sites * 3, counts.shape[1]), dtype=np.int64)
        self._groups = np.zeros_like(self._images)
        self._fewest = np.where(shares > 0, [0, 1, FEWEST_TEST_GROUPS], 0)[:, None]
        self._wanted = shares[self._used, None] * counts.sum(axis=0)  # (parts, classes)

    def put(self, group: int, cell: int) -> None:
        """Move a group to a cell."""
        old = self.cells[group]
        if old >= 0:
            self._images[old] -= self._counts[group]
            self._groups[old] -= self._has[group]
        self._images[cell] += self._counts[group]
        self._groups[cell] += self._has[group]
        self.cells[group] = cell

    def unfitness(self) -> Unfitness:
        """Return training groups and held-back groups that are lacking, and the misfit."""
        classes = self._counts.shape[1]
        groups = self._groups.reshape(-1, 3, classes)
        images = self._images.reshape(-1, 3, classes)[:, self._used]
        lacking = int((groups[:, TRAIN] == 0).sum())
        lacking_later = int(np.maximum(self._fewest - groups.sum(axis=0), 0).sum())
        per_site = self._wanted / len(images)
        misfit = ((images - per_site) ** 2 / per_site).sum()
        misfit += ((images.sum(axis=0) - self._wanted) ** 2 / self._wanted).sum()
        return lacking, lacking_later, float(misfit)


def _moved(deal: Deal, fitness: Unfitness, group: int, cells: list[int]) -> Unfitness:
    """Put a group where it fits best."""
    best = int(deal.cells[group])
    for cell in cells:
        deal.put(group, cell)
        found = deal.unfitness()
        if found < fitness:
            best, fitness = cell, found
    deal.put(group, best)
    return fitness


def _exchanged(deal: Deal, fitness: Unfitness, group: int, partners: list[int]) -> Unfitness:
    """Exchange a group with every partner with which that makes the whole fitter."""
    for partner in partners:
        here, there = int(deal.cells[group]), int(deal.cells[partner])
        if here == there:
            continue
        deal.put(group, there)
        deal.put(partner, here)
        found = deal.unfitness()
        if found < fitness:
            fitness = found
        else:
            deal.put(group, here)
            deal.put(partner, there)
    return fitness
