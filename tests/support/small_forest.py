"""Rows of small sites, the forest that they grow together, and xgboost's settings for the same."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.boosting import level_sums
from common.boosting.grid import bin_features, log_grid
from common.boosting.growing import grow, start_round
from common.boosting.rules import Rules
from common.boosting.trees import Forest

GRID = log_grid(0.01, 32.0, 32)
PLAIN = Rules(
    classes=4,
    features=12,
    levels=32,
    depth=4,
    parallel_trees=1,
    eta=0.3,
    l2=1.0,
    min_child_weight=1.0,
    columns=1.0,
    seed=11,
)
Rows = tuple[NDArray[np.uint8], NDArray[np.int64]]
Sites = list[Rows]


def features_and_labels(seed: int, rows: int = 500) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """ReLU-like features, a third of them zero, of which the first four tell the class."""
    chance = np.random.default_rng(seed)
    values = np.maximum(chance.normal(0.4, 1.0, (rows, PLAIN.features)), 0)
    labels = np.argmax(values[:, :4] + chance.normal(0, 0.7, (rows, 4)), axis=1)
    return (values * chance.uniform(0.2, 5.0, PLAIN.features)).astype(np.float32), labels


def pooled_rows(seed: int) -> Rows:
    values, labels = features_and_labels(seed)
    return bin_features(values, GRID), labels


def partition(rows: Rows, kind: str, seed: int) -> Sites:
    """Random; or skewed by class, the last of the three sites lacking class 0 entirely."""
    bins, labels = rows
    chance = np.random.default_rng(seed)
    owner = chance.integers(0, 3, len(labels))
    if kind == "skewed":
        shares = chance.dirichlet([0.4] * 3, PLAIN.classes)
        owner = np.array([chance.choice(3, p=shares[label]) for label in labels])
        owner[(labels == 0) & (owner == 2)] = 0
    return [(bins[owner == site], labels[owner == site]) for site in range(3)]


def grow_forest(rules: Rules, sites: Sites, rounds: int) -> Forest:
    forest = Forest(())
    for round_ in range(1, rounds + 1):
        state = start_round(rules, round_)
        while state.plan(rules) is not None:
            sums = [
                level_sums(
                    bins,
                    labels,
                    rules=rules,
                    forest=forest,
                    partial=state.partial,
                    round_=round_,
                    level=state.level,
                )
                for bins, labels in sites
            ]
            state = grow(rules, state, np.sum(sums, axis=0))
        forest = forest + state.partial
    return forest


def xgboost_parameters(rules: Rules) -> dict[str, Any]:
    return {
        "objective": "multi:softprob",
        "num_class": rules.classes,
        "base_score": 0.0,
        "tree_method": "hist",
        "max_bin": 256,
        "max_depth": rules.depth,
        "eta": rules.eta,
        "lambda": rules.l2,
        "min_child_weight": rules.min_child_weight,
        "num_parallel_tree": rules.parallel_trees,
        "nthread": 1,
    }
