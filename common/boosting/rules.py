"""What coordinator and sites must agree on before they can grow one forest together."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.study.phases import BoosterPhase


@dataclass(frozen=True)
class Rules:
    """The settings of the booster; named after XGBoost's, whose meaning they share."""

    classes: int
    features: int
    levels: int  # bins per feature
    depth: int  # max_depth
    parallel_trees: int  # num_parallel_tree: trees per class and round
    eta: float
    l2: float  # lambda
    min_child_weight: float
    columns: float  # colsample_bynode or colsample_bytree, by `columns_by`
    seed: int  # the study's
    columns_by: Literal["node", "tree"] = "node"

    @property
    def trees(self) -> int:
        """Trees of one round."""
        return self.classes * self.parallel_trees

    @property
    def drawn(self) -> int:
        """Features drawn at a node or for a tree: at least one, rounded down as XGBoost does."""
        return max(1, int(self.columns * self.features))

    @property
    def shares_columns(self) -> bool:
        """Whether all nodes of a tree look at the same features.

        Only then does a right child's histogram follow from its parent's and its sibling's.
        """
        return self.columns_by == "tree" or self.drawn == self.features

    @property
    def shrinkage(self) -> np.float32:
        """What a leaf's weight is multiplied by: XGBoost shares eta among the parallel trees."""
        return np.float32(self.eta) / np.float32(self.parallel_trees)

    def class_of(self, tree: int) -> int:
        """Return the class of a tree: within a round, XGBoost orders by class, then by copy."""
        return tree // self.parallel_trees % self.classes


def rules_of(phase: BoosterPhase, *, classes: int, features: int, seed: int) -> Rules:
    """Gather the rules from a study's booster phase, its label set, its model and its seed."""
    return Rules(
        classes=classes,
        features=features,
        levels=phase.grid.levels,
        depth=phase.depth,
        parallel_trees=phase.parallel_trees,
        eta=phase.eta,
        l2=phase.l2,
        min_child_weight=phase.min_child_weight,
        columns=phase.columns,
        seed=seed,
        columns_by=phase.columns_by,
    )
