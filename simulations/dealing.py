"""Groups of images dealt to sites, and to parts: the arithmetic, on counts per group and class.

The textbook deals single images. Here a group is never divided: shares are drawn as the textbook
draws them, and groups are then fitted to the images that the shares ask for, the largest first.
With groups of one image each, that is the textbook's division, rounded.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from common.imaging.colour import COLOUR_STATISTICS

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
_LIGHTNESS = COLOUR_STATISTICS.index("lightness-mean")


def dirichlet_targets(
    totals: Counts, sites: int, alpha: float, generator: np.random.Generator
) -> Floats:
    """Draw how many images of each class each site is to hold, float64 (sites, classes).

    Yurochkin et al. 2019 (ICML, Bayesian nonparametric federated learning of neural networks),
    section 4: for each class k, p_k ~ Dir(alpha, ..., alpha) over the sites; site j gets the share
    p_kj of the images of class k.

    Args:
        totals: int64 (classes,), images.
        sites: how many.
        alpha: concentration.
        generator: draws.
    """
    shares = generator.dirichlet(np.full(sites, alpha), size=len(totals))
    return np.asarray(shares.T * totals, dtype=np.float64)


def lognormal_targets(
    totals: Counts, sites: int, sigma: float, generator: np.random.Generator
) -> Floats:
    """Draw how many images each site is to hold, the mix of classes being that of all.

    Site j's share is exp(sigma z_j) / sum_i exp(sigma z_i) with z_j ~ N(0, 1).

    Returns:
        float64 (sites, classes).
    """
    sizes = generator.lognormal(0.0, sigma, size=sites)
    return np.outer(sizes / sizes.sum(), totals)


def fitted(
    counts: Counts, targets: Floats, generator: np.random.Generator, *, is_relative: bool = False
) -> Counts:
    """Put each group into a bin, the largest group first, where the images wanted are missed most.

    With A what the bins hold and T the targets, a group g goes to the bin in which it lowers

        sum over classes of (A - T)^2, or with `is_relative` of (A - T)^2 / T (Pearson's),

    the most; of equals, to the first. With groups of one image and equal weights, no bin is off its
    target by an image or more.

    Args:
        counts: int64 (groups, classes), images.
        targets: float64 (bins, classes), images.
        generator: orders groups of equal size.
        is_relative: weigh each difference by its target's inverse.

    Returns:
        int64 (groups,), the bin of each.
    """
    weights = 1.0 / np.maximum(targets, 1e-9) if is_relative else np.ones_like(targets)
    missing = targets.copy()
    chosen = np.empty(len(counts), dtype=np.int64)
    order = generator.permutation(len(counts))
    for group in order[np.argsort(-counts[order].sum(axis=1), kind="stable")]:
        images = counts[group]
        gain = (weights * images * (images - 2 * missing)).sum(axis=1)
        chosen[group] = int(np.argmin(gain))
        missing[chosen[group]] -= images
    return chosen


def laid_out(order: Sequence[int] | Counts, sizes: Counts, pieces: int) -> Counts:
    """Lay groups end to end, cut the line evenly, and say in which piece each group's middle is.

    Args:
        order: of the groups on the line.
        sizes: int64 (groups,), images.
        pieces: how many.

    Returns:
        int64 (groups,).
    """
    ends = np.cumsum(sizes[order])
    middles = (ends - sizes[order] / 2) / ends[-1]
    piece = np.empty(len(sizes), dtype=np.int64)
    piece[order] = (middles * pieces).astype(int)
    return piece


def sharded(counts: Counts, sites: int, each: int, generator: np.random.Generator) -> Counts:
    """Sort groups by class, cut them into shards of equally many images, and deal the shards.

    McMahan et al. 2017 (AISTATS, Communication-efficient learning of deep networks from
    decentralized data), section 3: the data sorted by label, divided into shards of equal size, of
    which each site gets the same number. A group is sorted by the class that it has most of; the
    order of the classes, and of the groups within one, is drawn.

    Returns:
        int64 (groups,), the site of each.
    """
    rank = generator.permutation(counts.shape[1])[counts.argmax(axis=1)]
    shuffled = generator.permutation(len(counts))
    order = shuffled[np.argsort(rank[shuffled], kind="stable")]
    shards = sites * each
    shard = laid_out(order, counts.sum(axis=1), shards)
    site_of = np.empty(shards, dtype=np.int64)
    site_of[generator.permutation(shards)] = np.repeat(np.arange(sites), each)
    return np.asarray(site_of[shard], dtype=np.int64)


def gathered(colours: Floats, sizes: Counts, sites: int, seed: int) -> Counts:
    """Cluster groups by colour, and number the clusters by lightness, the darkest first.

    k-means on standardised statistics, each group weighing as many images as it has.

    Args:
        colours: float64 (groups, 24), means over each group's images, of which at least as many
            differ as there are sites.
        sizes: int64 (groups,), images.
        sites: how many clusters.
        seed: starts the clustering.

    Returns:
        int64 (groups,), the cluster of each.
    """
    mean = np.average(colours, axis=0, weights=sizes)
    spread = np.sqrt(np.average((colours - mean) ** 2, axis=0, weights=sizes))
    standard = (colours - mean) / np.where(spread > 0, spread, 1.0)
    found = KMeans(sites, n_init=10, random_state=seed % 2**32).fit(standard, sample_weight=sizes)
    rank = np.argsort(np.argsort(found.cluster_centers_[:, _LIGHTNESS], kind="stable"))
    return np.asarray(rank[found.labels_], dtype=np.int64)
