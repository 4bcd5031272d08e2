"""How the coordinator turns a level's summed histograms into splits, level by level.

    state = start_round(rules, round_)
    while plan := state.plan(rules):
        state = grow(rules, state, total)  # total: the sites' sums for that plan, added up
    forest = forest + state.partial

If a site drops out between two levels, the round starts again with those that are left: a right
child's sums are the parent's less the left child's, and would keep an absent site's rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.boosting.histograms import from_fixed
from common.boosting.rules import Rules
from common.boosting.sampling import Plan, plan_level
from common.boosting.trees import LEAF, Forest, Tree

LEAST_GAIN = 1e-6  # XGBoost's kRtEps: a split must gain more


@dataclass(frozen=True, eq=False)
class RoundState:
    """A round between two levels; all the coordinator has to keep."""

    round: int  # from 1
    level: int  # depth of the nodes that are to be split next
    partial: Forest  # this round's trees; the leaves at `level` are open
    parents: NDArray[np.int64]  # (split nodes, drawn, levels, 2): sums of the open pairs' parents

    def plan(self, rules: Rules) -> Plan | None:
        """Return what to ask of the sites next, or None when the round's trees are finished."""
        if self.level == rules.depth:
            return None
        plan = plan_level(rules, self.partial, self.round, self.level)
        return plan if len(plan) else None


def start_round(rules: Rules, round_: int) -> RoundState:
    """Plant a round's trees, each a single leaf.

    Args:
        rules: the study's.
        round_: from 1.
    """
    root = Tree(
        feature=np.array([LEAF], np.int32),
        bin=np.zeros(1, np.int32),
        value=np.zeros(1, np.float32),
        hessian=np.zeros(1, np.float32),
        gain=np.zeros(1, np.float32),
    )
    return RoundState(round_, 0, Forest((root,) * rules.trees), _no_parents(rules))


def grow(rules: Rules, state: RoundState, sums: NDArray[np.int64]) -> RoundState:
    """Split the open nodes of one level where that gains.

    Splits, leaf weights and gains are XGBoost's (Chen and Guestrin 2016, eq. 5 and 7), with its
    roundings and its choice among equals: the lowest feature, then the lowest bin.

    Args:
        rules: the study's.
        state: what `start_round` or the last `grow` returned; its plan is not None.
        sums: int64, the accepted sites' sums for that plan added up; `check_sums` vouched for each.

    Returns:
        The state at the next level, with new arrays throughout.
    """
    sums = _with_right_children(rules, state, sums)
    found = _best_splits(rules, sums, _open_columns(rules, state))
    trees = []
    first = 0
    for tree in state.partial.trees:
        begin, end = tree.level(state.level)
        trees.append(_extended(rules, tree, found.of(slice(first, first + end - begin))))
        first += end - begin
    parents = sums[found.gain > 0] if rules.shares_columns else _no_parents(rules)
    return RoundState(state.round, state.level + 1, Forest(tuple(trees)), parents)


@dataclass(frozen=True, eq=False)
class _Splits:
    """The best split of each open node; where none is worth making, `gain` is 0."""

    feature: NDArray[np.int32]
    bin: NDArray[np.int32]
    gain: NDArray[np.float32]
    total: NDArray[np.float64]  # (nodes, 2): gradient, hessian
    left: NDArray[np.float64]  # (nodes, 2)
    right: NDArray[np.float64]  # (nodes, 2)

    def of(self, nodes: slice) -> "_Splits":
        """Return those of some nodes."""
        return _Splits(
            self.feature[nodes],
            self.bin[nodes],
            self.gain[nodes],
            self.total[nodes],
            self.left[nodes],
            self.right[nodes],
        )


def _open_columns(rules: Rules, state: RoundState) -> NDArray[np.int32]:
    plan = plan_level(rules, state.partial, state.round, state.level)
    halved = rules.shares_columns and state.level > 0
    return np.repeat(plan.columns, 2, axis=0) if halved else plan.columns


def _with_right_children(
    rules: Rules, state: RoundState, sums: NDArray[np.int64]
) -> NDArray[np.int64]:
    if not rules.shares_columns or state.level == 0:
        return sums
    pairs = np.stack([sums, state.parents - sums], axis=1)
    return pairs.reshape(-1, *sums.shape[1:])


def _best_splits(rules: Rules, sums: NDArray[np.int64], columns: NDArray[np.int32]) -> _Splits:
    running = np.cumsum(sums, axis=2)  # exact; (nodes, drawn, levels, 2)
    whole = running[:, :1, -1:, :]
    left = from_fixed(running[:, :, :-1, :])
    right = from_fixed(whole - running[:, :, :-1, :])
    total = from_fixed(whole[:, 0, 0, :])
    l2 = np.float64(np.float32(rules.l2))
    least = np.float64(np.float32(rules.min_child_weight))
    parts = _score(left, l2).astype(np.float64) + _score(right, l2)
    gain = parts.astype(np.float32) - _score(total, l2)[:, None, None]
    hessian = np.minimum(left[..., 1], right[..., 1])
    gain = np.where((hessian >= least) & (hessian > 0), gain, np.float32(0))
    flat = gain.reshape(len(gain), -1)
    best = flat.argmax(axis=1)  # the first among equals
    nodes = np.arange(len(best))
    drawn, at = np.divmod(best, rules.levels - 1)
    worth = flat[nodes, best] > LEAST_GAIN
    return _Splits(
        feature=np.where(worth, columns[nodes, drawn], LEAF).astype(np.int32),
        bin=np.where(worth, at, 0).astype(np.int32),
        gain=np.where(worth, flat[nodes, best], np.float32(0)),
        total=total,
        left=left[nodes, drawn, at],
        right=right[nodes, drawn, at],
    )


def _score(stats: NDArray[np.float64], l2: np.float64) -> NDArray[np.float32]:
    """Return G^2 / (H + lambda), and 0 where there is no hessian; float32 as XGBoost keeps it."""
    gradient, hessian = stats[..., 0], stats[..., 1]
    filled = hessian > 0
    return np.where(filled, gradient**2 / np.where(filled, hessian + l2, 1.0), 0.0).astype(
        np.float32
    )


def _weight(rules: Rules, stats: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return -G / (H + lambda) of (nodes, 2), and 0 where H is below `min_child_weight`."""
    gradient, hessian = stats[:, 0], stats[:, 1]
    least = np.float64(np.float32(rules.min_child_weight))
    enough = (hessian >= least) & (hessian > 0)
    divisor = np.where(enough, hessian + np.float64(np.float32(rules.l2)), 1.0)
    return np.where(enough, -gradient / divisor, 0.0).astype(np.float32)


def _extended(rules: Rules, tree: Tree, found: _Splits) -> Tree:
    """Return the tree with the splits made; the open nodes are its last ones."""
    closed = len(tree.feature) - len(found.gain)
    split = found.gain > 0
    weight = _weight(rules, found.total)
    children = np.stack([found.left[split], found.right[split]], axis=1).reshape(-1, 2)
    none = np.zeros(len(children), np.int32)
    return Tree(
        feature=np.concatenate([tree.feature[:closed], found.feature, none + np.int32(LEAF)]),
        bin=np.concatenate([tree.bin[:closed], found.bin, none]),
        value=np.concatenate(
            [
                tree.value[:closed],
                np.where(split, weight, weight * rules.shrinkage),
                _weight(rules, children) * rules.shrinkage,
            ]
        ),
        hessian=np.concatenate([tree.hessian[:closed], found.total[:, 1], children[:, 1]]).astype(
            np.float32
        ),
        gain=np.concatenate([tree.gain[:closed], found.gain, none.astype(np.float32)]),
    )


def _no_parents(rules: Rules) -> NDArray[np.int64]:
    return np.empty((0, rules.drawn, rules.levels, 2), np.int64)
