"""The histogram booster grows the trees that xgboost grows on the pooled rows.

Rows are given to xgboost as their bin numbers, `base_score` is 0, and every round starts from our
margins, so that an exact tie in one round does not hide the rounds behind it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from client.boosting import gradients
from common.boosting.rules import Rules
from common.boosting.sampling import drawn_columns
from common.boosting.trees import LEAF, Forest, Tree, margins
from tests.support.small_forest import (
    PLAIN,
    Rows,
    grow_forest,
    partition,
    pooled_rows,
    xgboost_parameters,
)


def rounds_of(forest: Forest, rules: Rules) -> Iterator[tuple[Forest, tuple[Tree, ...]]]:
    for first in range(0, len(forest.trees), rules.trees):
        yield Forest(forest.trees[:first]), forest.trees[first : first + rules.trees]


def xgboost_round(
    rules: Rules, rows: Rows, margin: NDArray[np.float32], columns: NDArray[Any]
) -> list[dict[str, Any]]:
    """Grow one round on some of the columns; return the trees as in xgboost's JSON."""
    bins, labels = rows
    data = xgboost.DMatrix(bins[:, columns].astype(np.float32), labels)
    data.set_base_margin(margin)
    booster = xgboost.train(xgboost_parameters(rules), data, 1)
    document = json.loads(bytes(booster.save_raw("json")))
    return cast("list[dict[str, Any]]", document["learner"]["gradient_booster"]["model"]["trees"])


@dataclass
class Comparison:
    """What a walk down two trees found."""

    nodes: int = 0
    ties: int = 0
    worst_leaf: float = 0.0


def compare(
    ours: Tree, theirs: dict[str, Any], bins: NDArray[np.uint8], columns: NDArray[Any]
) -> Comparison:
    """Walk both trees from the root; below an exact tie, where they part, nothing is compared."""
    found = Comparison()
    values = bins.astype(np.float32)
    open_nodes = [(0, 0, np.arange(len(bins)))]
    while open_nodes:
        mine, other, rows = open_nodes.pop()
        found.nodes += 1
        np.testing.assert_allclose(
            ours.hessian[mine], theirs["sum_hessian"][other], rtol=1e-5, atol=1e-6
        )
        is_leaf = theirs["left_children"][other] == -1
        assert (ours.feature[mine] == LEAF) == is_leaf
        if is_leaf:
            leaf = abs(float(ours.value[mine]) - theirs["split_conditions"][other])
            found.worst_leaf = max(found.worst_leaf, leaf)
            continue
        np.testing.assert_allclose(
            ours.gain[mine], theirs["loss_changes"][other], rtol=1e-4, atol=1e-5
        )
        feature = columns[theirs["split_indices"][other]]
        goes_left = values[rows, feature] < theirs["split_conditions"][other]
        mine_left = bins[rows, ours.feature[mine]] <= ours.bin[mine]
        if ours.feature[mine] != feature or (goes_left != mine_left).any():
            np.testing.assert_allclose(ours.gain[mine], theirs["loss_changes"][other], rtol=1e-6)
            found.ties += 1
            continue
        left = int(ours.left[mine])
        open_nodes.append((left, theirs["left_children"][other], rows[goes_left]))
        open_nodes.append((left + 1, theirs["right_children"][other], rows[~goes_left]))
    return found


def compare_forest(rules: Rules, forest: Forest, rows: Rows) -> Comparison:
    """Compare every tree with the one that xgboost grows on that tree's columns."""
    whole = Comparison()
    for round_, (before, trees) in enumerate(rounds_of(forest, rules), start=1):
        margin = margins(before, rows[0], rules)
        for index, tree in enumerate(trees):
            columns = drawn_columns(rules, round_, index, 0)
            theirs = xgboost_round(rules, rows, margin, columns)[index]
            found = compare(tree, theirs, rows[0], columns)
            whole.nodes += found.nodes
            whole.ties += found.ties
            whole.worst_leaf = max(whole.worst_leaf, found.worst_leaf)
    return whole


@pytest.mark.parametrize("kind", ["random", "skewed"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_trees_are_those_of_the_pooled_rows(kind: str, seed: int) -> None:
    rows = pooled_rows(seed)
    sites = partition(rows, kind, seed)
    assert kind == "random" or not (sites[2][1] == 0).any()
    found = compare_forest(PLAIN, grow_forest(PLAIN, sites, 4), rows)
    assert found.nodes > 200
    assert found.worst_leaf <= 1e-5
    assert not found.ties, f"{found.ties} exact ties in {found.nodes} nodes"


def test_a_whole_run_is_the_pooled_run() -> None:
    rows = pooled_rows(4)
    forest = grow_forest(PLAIN, partition(rows, "skewed", 4), 8)
    data = xgboost.DMatrix(rows[0].astype(np.float32), rows[1])
    booster = xgboost.train(xgboost_parameters(PLAIN), data, 8)
    document = json.loads(bytes(booster.save_raw("json")))
    theirs = document["learner"]["gradient_booster"]["model"]["trees"]
    columns = np.arange(PLAIN.features)
    for mine, other in zip(forest.trees, theirs, strict=True):
        found = compare(mine, other, rows[0], columns)
        assert found.worst_leaf <= 1e-5
        assert not found.ties
    np.testing.assert_allclose(
        margins(forest, rows[0], PLAIN), booster.predict(data, output_margin=True), atol=1e-5
    )


@pytest.mark.parametrize(
    "rules",
    [
        replace(PLAIN, l2=0.0, min_child_weight=0.0, depth=2),
        replace(PLAIN, min_child_weight=8.0, depth=6, eta=1.0),
        replace(PLAIN, parallel_trees=3, eta=0.6),
        replace(PLAIN, columns=0.5, columns_by="tree"),
        replace(PLAIN, columns=0.3, columns_by="tree", parallel_trees=2, l2=0.3),
        replace(PLAIN, columns=0.01, columns_by="tree"),
    ],
    ids=["no-bounds", "large-leaves", "forest", "by-tree", "by-tree-forest", "one-column"],
)
def test_settings_mean_what_they_mean_to_xgboost(rules: Rules) -> None:
    rows = pooled_rows(5)
    found = compare_forest(rules, grow_forest(rules, partition(rows, "skewed", 5), 2), rows)
    assert found.nodes > 20
    assert found.worst_leaf <= 1e-5
    assert not found.ties, f"{found.ties} exact ties in {found.nodes} nodes"


def test_equal_gains_go_to_the_lowest_feature_and_bin() -> None:
    bins, labels = pooled_rows(6)
    bins = np.concatenate([bins, bins[:, ::-1], 31 - bins], axis=1)
    rules = replace(PLAIN, features=bins.shape[1])
    forest = grow_forest(rules, [(bins, labels)], 1)
    asked = np.concatenate([tree.feature for tree in forest.trees])
    assert asked.max() < PLAIN.features
    found = compare_forest(rules, forest, (bins, labels))
    assert found.worst_leaf <= 1e-5


@pytest.mark.parametrize("classes", [2, 3])
def test_any_number_of_classes(classes: int) -> None:
    bins, labels = pooled_rows(7)
    rows = bins, labels % classes
    rules = replace(PLAIN, classes=classes)
    found = compare_forest(rules, grow_forest(rules, partition(rows, "random", 7), 3), rows)
    assert found.worst_leaf <= 1e-5
    assert not found.ties


def test_columns_drawn_by_node_against_brute_force() -> None:
    rules = replace(PLAIN, columns=0.5, parallel_trees=2, eta=0.6)
    bins, labels = pooled_rows(8)
    forest = grow_forest(rules, partition((bins, labels), "skewed", 8), 2)
    draws = set()
    for round_, (before, trees) in enumerate(rounds_of(forest, rules), start=1):
        gradient, hessian = gradients(margins(before, bins, rules), labels)
        for index, tree in enumerate(trees):
            of_class = index // 2
            stack = [(0, np.arange(len(labels)), 0)]
            while stack:
                node, rows, depth = stack.pop()
                g = gradient[rows, of_class].astype(np.float64)
                h = hessian[rows, of_class].astype(np.float64)
                columns = drawn_columns(rules, round_, index, node)
                draws.add((round_, index, node, tuple(columns)))
                gains = brute_force_gains(bins[np.ix_(rows, columns)], g, h, rules)
                if tree.feature[node] == LEAF:
                    assert depth == rules.depth or gains.max() <= 1e-5
                    value = -g.sum() / (h.sum() + rules.l2) * rules.eta / 2
                    np.testing.assert_allclose(tree.value[node], value, atol=1e-6)
                    continue
                at = columns.tolist().index(tree.feature[node])
                np.testing.assert_allclose(gains[at, tree.bin[node]], gains.max(), rtol=1e-6)
                np.testing.assert_allclose(tree.gain[node], gains.max(), rtol=1e-4, atol=1e-5)
                left = bins[rows, tree.feature[node]] <= tree.bin[node]
                stack.append((int(tree.left[node]), rows[left], depth + 1))
                stack.append((int(tree.left[node]) + 1, rows[~left], depth + 1))
    drawn = [columns for *_, columns in draws]
    assert len(set(drawn)) > len(drawn) * 0.7
    assert {len(columns) for columns in drawn} == {PLAIN.features // 2}


def brute_force_gains(
    bins: NDArray[np.uint8], g: NDArray[np.float64], h: NDArray[np.float64], rules: Rules
) -> NDArray[np.float64]:
    gains = np.full((bins.shape[1], rules.levels - 1), -np.inf)
    for column in range(bins.shape[1]):
        for level in range(rules.levels - 1):
            left = bins[:, column] <= level
            sides = [(g[left].sum(), h[left].sum()), (g[~left].sum(), h[~left].sum())]
            if min(side[1] for side in sides) >= rules.min_child_weight:
                gains[column, level] = sum(a**2 / (b + rules.l2) for a, b in sides)
    whole: float = g.sum() ** 2 / (h.sum() + rules.l2)
    return gains - whole
