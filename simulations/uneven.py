"""Groups dealt so that sites differ: in their classes, their sizes or their colours."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.errors import DataError
from common.seeds import seed_for, stream
from common.study.data import Split
from simulations.dealing import (
    Counts,
    Floats,
    dirichlet_targets,
    fitted,
    gathered,
    lognormal_targets,
    sharded,
)
from simulations.division import ByStain, Dirichlet, Shards, SizeSkew

Uneven = Dirichlet | Shards | SizeSkew | ByStain
_DRAWS = 100  # before it is said that the groups are too few
_WORDS = ("training", "validation", "test")
_FIX = {
    "dirichlet": "raise `partition.alpha`",
    "shards": "raise `partition.each`",
    "size-skew": "lower `partition.sigma`",
    "stain": "divide by: iid",
}


def uneven(
    counts: Counts, settings: Uneven, seed: int, sites: Sequence[str], colours: Floats | None
) -> NDArray[np.int64]:
    """Give each group a site as the settings say, and a part of it.

    A site trains every class that it holds, and has images of every part whose share is not 0.
    What is drawn is drawn again until that is so.

    Args:
        counts: int64 (groups, classes), images.
        settings: how to divide.
        seed: the study's.
        sites: the study's.
        colours: float64 (groups, 24), mean statistics; needed by stain alone.

    Returns:
        int64 (groups, 2).

    Raises:
        DataError: no draw does so.
    """
    draws = 1 if isinstance(settings, ByStain) else _DRAWS
    fewest: list[str] | None = None
    for draw in range(draws):
        generator = stream(seed, "partition", settings.by, draw)
        site = _sites(counts, settings, len(sites), colours, generator, seed)
        part, unmet = _parts(counts, site, sites, settings.parts, generator)
        if not unmet:
            return np.stack([site, part], axis=1)
        fewest = unmet if fewest is None or len(unmet) < len(fewest) else fewest
    raise DataError(
        f"partition.by: {settings.by} cannot be met with {len(counts)} groups at {len(sites)} "
        f"sites: {'; '.join(fewest or [])}" + f" (the best of {draws} draws)" * (draws > 1),
        fix=f"{_FIX[settings.by]}, name fewer sites, or give images of more groups",
    )


def _sites(
    counts: Counts,
    settings: Uneven,
    sites: int,
    colours: Floats | None,
    generator: np.random.Generator,
    seed: int,
) -> Counts:
    totals = counts.sum(axis=0)
    if isinstance(settings, Dirichlet):
        targets = dirichlet_targets(totals, sites, settings.alpha, generator)
        return fitted(counts, targets, generator)
    if isinstance(settings, SizeSkew):
        targets = lognormal_targets(totals, sites, settings.sigma, generator)
        return fitted(counts, targets, generator)
    if isinstance(settings, Shards):
        return sharded(counts, sites, settings.each, generator)
    if colours is None or len(np.unique(colours, axis=0)) < sites:
        raise DataError(
            f"the {len(counts)} groups have fewer than {sites} different colours",
            fix="name fewer sites, or divide in another way",
        )
    return gathered(colours, counts.sum(axis=1), sites, seed_for(seed, "partition", "stain"))


def _parts(
    counts: Counts,
    site: Counts,
    sites: Sequence[str],
    shares: Split,
    generator: np.random.Generator,
) -> tuple[Counts, list[str]]:
    """Split each site's groups; return the part of each, and in words what a site would lack."""
    wanted = np.array([1 - shares.validation - shares.test, shares.validation, shares.test])
    part = np.zeros(len(counts), dtype=np.int64)
    unmet = []
    for number, name in enumerate(sites):
        here = site == number
        own = counts[here]
        part[here] = fitted(own, np.outer(wanted, own.sum(axis=0)), generator, is_relative=True)
        images = np.stack([own[part[here] == p].sum(axis=0) for p in range(len(_WORDS))])
        lacking = [
            f"{_WORDS[p]} images" for p in np.flatnonzero((wanted > 0) & (images.sum(axis=1) == 0))
        ]
        untrained = int(((images[0] == 0) & (images.sum(axis=0) > 0)).sum())
        if untrained and images[0].any():
            lacking.append(f"training images of {untrained} of its classes")
        if lacking:
            unmet.append(
                f"{name}, with {len(own)} groups, would have no {' and no '.join(lacking)}"
            )
    return part, unmet
