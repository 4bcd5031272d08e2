"""Which nodes of a level are summed, and over which features: both sides work it out alone.

The plan follows from the study and the trees so far, so a coordinator cannot ask for other sums
than the study allows, and a request need not carry it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.boosting.rules import Rules
from common.boosting.trees import Forest
from common.seeds import stream


@dataclass(frozen=True, eq=False)
class Plan:
    """The sums of one level: one entry per node, its trees numbered within the round."""

    tree: NDArray[np.int32]  # shape (entries,)
    node: NDArray[np.int32]  # shape (entries,)
    columns: NDArray[np.int32]  # shape (entries, drawn), ascending within an entry

    def __len__(self) -> int:
        """Return the number of nodes to be summed; 0 ends the round."""
        return len(self.tree)


def drawn_columns(rules: Rules, round_: int, tree: int, node: int) -> NDArray[np.int32]:
    """Draw the features that one node may be split on, without replacement.

    The features with the smallest of `features` 64-bit numbers are taken. NumPy promises that a bit
    generator's raw output never changes, which it does not promise of `Generator.choice`; sites and
    coordinator may run different versions.

    Args:
        rules: the study's.
        round_: from 1.
        tree: number of the tree within the round.
        node: number of the node within the tree; without effect where columns are drawn by tree.

    Returns:
        int32 (drawn,), ascending.
    """
    if rules.drawn == rules.features:
        return np.arange(rules.features, dtype=np.int32)
    place = node if rules.columns_by == "node" else 0
    chance = stream(rules.seed, "booster", "columns", round_, tree, place)
    ranks = np.argsort(chance.bit_generator.random_raw(rules.features), kind="stable")
    return np.sort(ranks[: rules.drawn]).astype(np.int32)


def plan_level(rules: Rules, partial: Forest, round_: int, level: int) -> Plan:
    """List the nodes of a level to be summed.

    Where the nodes of a tree share their columns, right children are left out below the root: their
    sums are the parent's less the left sibling's.

    Args:
        rules: the study's.
        partial: this round's trees, grown down to `level`.
        round_: from 1.
        level: depth of the nodes that are to be split; the root's is 0.
    """
    step = 2 if rules.shares_columns and level else 1
    nodes = [
        (index, node)
        for index, tree in enumerate(partial.trees)
        for node in range(*tree.level(level), step)
    ]
    places = np.array(nodes, np.int32).reshape(-1, 2)
    columns = [drawn_columns(rules, round_, tree, node) for tree, node in nodes]
    drawn = np.array(columns, np.int32).reshape(-1, rules.drawn)
    return Plan(places[:, 0], places[:, 1], drawn)
