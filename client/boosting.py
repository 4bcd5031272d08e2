"""The site's part in growing a forest: its gradients, and their sums per bin of one level."""

import numpy as np
from numpy.typing import NDArray

from common.boosting.histograms import MAX_SITE_ROWS, sums_shape, to_fixed
from common.boosting.rules import Rules
from common.boosting.sampling import plan_level
from common.boosting.trees import Forest, margins, positions
from common.errors import DataError

_LEAST_HESSIAN = np.float32(1e-16)


def softmax(margin: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities, float32 (n, classes), with XGBoost's roundings.

    exp is taken in float64 and rounded, since float32 exp differs between processors and builds.
    """
    shifted = margin - margin.max(axis=1, keepdims=True)
    powers = np.exp(shifted, dtype=np.float64).astype(np.float32)
    total = powers.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    probability: NDArray[np.float32] = powers / total
    return probability


def gradients(
    margin: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return gradient and hessian of the log-loss as XGBoost's `multi:softprob` takes them.

    g = p - y and h = max(2 p (1 - p), 1e-16): twice the diagonal of the true Hessian, a bound on
    all of it (Chen and Guestrin 2016, the g and h of eq. 2 for the multinomial log-loss).

    Args:
        margin: float32 (n, classes).
        labels: int64 (n,) in [0, classes).

    Returns:
        Two float32 (n, classes).
    """
    probability = softmax(margin)
    hessian = np.float32(2) * probability * (np.float32(1) - probability)
    gradient = probability.copy()
    gradient[np.arange(len(labels)), labels] -= np.float32(1)
    return gradient, np.maximum(hessian, _LEAST_HESSIAN)


def level_sums(
    bins: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    rules: Rules,
    forest: Forest,
    partial: Forest,
    round_: int,
    level: int,
) -> NDArray[np.int64]:
    """Sum gradient and hessian per (node, feature, bin) of one level of this round's trees.

    Nothing is kept between calls: rows find their nodes again from the trees, so a site that was
    restarted, or joins late, answers the same.

    Args:
        bins: uint8 (n, features), by `common.boosting.grid.bin_features`.
        labels: int64 (n,), the study's class numbers; a site may lack a class.
        rules: the study's.
        forest: all finished rounds.
        partial: this round's trees, grown down to `level`.
        round_: from 1.
        level: depth of the nodes to be summed.

    Returns:
        int64 (entries, drawn, levels, 2) in units of 2^-30, in the order of `plan_level`.

    Raises:
        DataError: more rows than the sums are exact for.
    """
    if len(bins) > MAX_SITE_ROWS:
        raise DataError(
            f"{len(bins)} rows are more than exact sums allow ({MAX_SITE_ROWS})",
            fix="take part as two sites",
        )
    plan = plan_level(rules, partial, round_, level)
    gradient, hessian = gradients(margins(forest, bins, rules), labels)
    weights = to_fixed(np.stack([gradient, hessian]))  # (2, n, classes)
    sums = np.zeros(sums_shape(rules, plan), np.int64)
    offsets = np.arange(rules.drawn, dtype=np.intp) * rules.levels
    for tree in np.unique(plan.tree):
        position = positions(partial.trees[tree], bins)
        of_class = weights[:, :, rules.class_of(tree)]
        for entry in np.flatnonzero(plan.tree == tree):
            rows = np.flatnonzero(position == plan.node[entry])
            cells = (bins[np.ix_(rows, plan.columns[entry])] + offsets).ravel()
            for kind in range(2):
                added = np.bincount(
                    cells, np.repeat(of_class[kind, rows], rules.drawn), rules.drawn * rules.levels
                )
                sums[entry, :, :, kind] = added.reshape(rules.drawn, rules.levels)
    return sums
