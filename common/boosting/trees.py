"""The typed tree table: what a booster is between the parties, and how a row falls through it.

A table crosses from the coordinator into the process that sees images, so it is checked entry by
entry and evaluated by the few lines below, never by a native loader.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.boosting.rules import Rules
from common.errors import CorruptFile

LEAF = -1  # in the place of a feature
MAX_ROUNDS = 10_000
MAX_MAGNITUDE = 1e30


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree; its nodes lie level by level, children in pairs.

    So the j-th node that is not a leaf has its children at 1 + 2j and 2 + 2j, and a table can hold
    no cycle, no orphan and no child out of range. One row per node:
    """

    feature: NDArray[np.int32]  # what the node asks about; LEAF: nothing
    bin: NDArray[np.int32]  # rows with bins[feature] <= bin go left; 0 at a leaf
    value: NDArray[np.float32]  # leaf: what it adds to the margin; else: its weight, not shrunk
    hessian: NDArray[np.float32]  # sum over the training rows that reach the node
    gain: NDArray[np.float32]  # what its split gained; 0 at a leaf

    @cached_property
    def left(self) -> NDArray[np.int32]:
        """Each node's left child, the right one follows it; meaningless at a leaf."""
        inner = self.feature != LEAF
        return (2 * np.cumsum(inner) - 1).astype(np.int32)

    def levels(self) -> Iterator[tuple[int, int]]:
        """Yield the first node and the end of each level, the root's first."""
        first, end = 0, 1
        while first < end:
            yield first, end
            first, end = end, end + 2 * int(np.count_nonzero(self.feature[first:end] != LEAF))

    def level(self, depth: int) -> tuple[int, int]:
        """Return first node and end of a level; an empty range where the tree is not so deep."""
        bounds = list(self.levels())
        return bounds[depth] if depth < len(bounds) else (len(self.feature), len(self.feature))


_COLUMNS = tuple(column.name for column in fields(Tree))
_DTYPES = {
    "feature": np.int32,
    "bin": np.int32,
    "value": np.float32,
    "hessian": np.float32,
    "gain": np.float32,
}


@dataclass(frozen=True)
class Forest:
    """Trees in XGBoost's order: by round, then class, then parallel copy (`Rules.class_of`)."""

    trees: tuple[Tree, ...]

    def __add__(self, other: "Forest") -> "Forest":
        """Return this forest followed by another."""
        return Forest(self.trees + other.trees)

    def divided(self, number: int) -> "Forest":
        """Return this forest with every leaf divided by a number."""
        by = np.float32(number)
        return Forest(
            tuple(
                replace(tree, value=np.where(tree.feature == LEAF, tree.value / by, tree.value))
                for tree in self.trees
            )
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return `sizes`, the nodes per tree, and each column of all trees one after another."""
        sizes = np.array([len(tree.feature) for tree in self.trees], np.int32)
        columns = {
            name: np.concatenate(
                [np.empty(0, _DTYPES[name]), *(getattr(tree, name) for tree in self.trees)]
            )
            for name in _COLUMNS
        }
        return {"sizes": sizes, **columns}


def forest_from_arrays(
    arrays: Mapping[str, NDArray[Any]], rules: Rules, *, rounds: int | None = None
) -> Forest:
    """Read and check a table that came from outside.

    Args:
        arrays: what `Forest.to_arrays` returned, and nothing else.
        rules: the study's; they bound every entry.
        rounds: how many rounds the table must hold, where the reader knows it.

    Raises:
        CorruptFile: the table is not that many, or a whole number of rounds of well-formed trees.
    """
    wanted = {"sizes": np.dtype(np.int32)} | {name: np.dtype(d) for name, d in _DTYPES.items()}
    _require(set(arrays) == set(wanted), "other columns than expected")
    _require(all(arrays[name].ndim == 1 for name in wanted), "a column is not a vector")
    _require(all(arrays[name].dtype == wanted[name] for name in wanted), "another number type")
    sizes = arrays["sizes"].astype(np.int64)
    most_nodes = 2 ** (rules.depth + 1) - 1
    _require(len(sizes) % rules.trees == 0, "not a whole number of rounds")
    _require(len(sizes) <= MAX_ROUNDS * rules.trees, "too many rounds")
    _require(rounds in (None, len(sizes) // rules.trees), "another number of rounds")
    _require(bool(((sizes >= 1) & (sizes <= most_nodes)).all()), "a tree's size is out of range")
    ends = np.concatenate([[0], np.cumsum(sizes)])
    _require(all(len(arrays[name]) == ends[-1] for name in _COLUMNS), "columns of unequal length")
    _check_entries(arrays, rules)
    trees = tuple(
        Tree(**{name: arrays[name][first:end] for name in _COLUMNS})
        for first, end in pairwise(ends)
    )
    for tree in trees:
        bounds = list(tree.levels())
        _require(bounds[-1][1] == len(tree.feature), "children and nodes do not tally")
        _require(len(bounds) <= rules.depth + 1, "a tree is deeper than agreed")
    return Forest(trees)


def _check_entries(arrays: Mapping[str, NDArray[Any]], rules: Rules) -> None:
    feature, bins = arrays["feature"], arrays["bin"]
    leaf = feature == LEAF
    _require(bool((leaf | ((feature >= 0) & (feature < rules.features))).all()), "unknown feature")
    _require(bool(((bins >= 0) & (bins <= rules.levels - 2)).all()), "a bin is out of range")
    _require(not bins[leaf].any(), "a leaf has a bin")
    for name in ("value", "hessian", "gain"):
        # The bound keeps any sum of leaves finite in float32.
        _require(bool((np.abs(arrays[name]) <= MAX_MAGNITUDE).all()), f"a {name} is not finite")
    _require(bool((arrays["hessian"] >= 0).all()), "a hessian is negative")
    _require(not arrays["gain"][leaf].any(), "a leaf has a gain")


def _require(fact: bool, otherwise: str) -> None:
    if not fact:
        raise CorruptFile(
            f"the tree table is malformed: {otherwise}",
            fix="compare study file and leukofed version at both ends, then start the phase again",
        )


def positions(tree: Tree, bins: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the leaf, as a node number, that each row of `bins` uint8 (n, features) falls into."""
    position = np.zeros(len(bins), np.intp)
    falling = np.arange(len(bins))
    while True:
        falling = falling[tree.feature[position[falling]] != LEAF]
        if not len(falling):
            return position
        node = position[falling]
        goes_right = bins[falling, tree.feature[node]] > tree.bin[node]
        position[falling] = tree.left[node] + goes_right


def margins(forest: Forest, bins: NDArray[np.uint8], rules: Rules) -> NDArray[np.float32]:
    """Add up the leaves that each row falls into.

    Float32 and tree by tree from a base score of 0, as XGBoost does: the bits are the same.

    Returns:
        float32 (n, classes).
    """
    total = np.zeros((len(bins), rules.classes), np.float32)
    for index, tree in enumerate(forest.trees):
        total[:, rules.class_of(index)] += tree.value[positions(tree, bins)]
    return total
