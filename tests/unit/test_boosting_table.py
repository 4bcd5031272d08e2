"""The tree table and the state of a round refuse what they cannot have written."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from client.boosting import gradients, level_sums, softmax
from common.boosting.grid import bin_features, log_grid
from common.boosting.growing import grow, start_round
from common.boosting.histograms import check_sums
from common.boosting.rules import Rules, rules_of
from common.boosting.sampling import drawn_columns
from common.boosting.trees import LEAF, Forest, Tree, forest_from_arrays, margins, positions
from common.errors import ConfigError, CorruptFile, DataError, UpdateRejected
from common.study.phases import BoosterPhase

RULES = Rules(
    classes=2,
    features=3,
    levels=4,
    depth=2,
    parallel_trees=1,
    eta=0.5,
    l2=1.0,
    min_child_weight=0.0,
    columns=1.0,
    seed=0,
)
Arrays = dict[str, NDArray[Any]]


def tree(feature: list[int], bins: list[int], value: list[float]) -> Tree:
    size = len(feature)
    inner = np.array(feature) != LEAF
    return Tree(
        feature=np.array(feature, np.int32),
        bin=np.array(bins, np.int32),
        value=np.array(value, np.float32),
        hessian=np.ones(size, np.float32),
        gain=inner.astype(np.float32),
    )


def small_forest() -> Forest:
    """Class 0: feature 1 at bin 0, its right child feature 2 at bin 1. Class 1: a single leaf."""
    return Forest(
        (
            tree([1, LEAF, 2, LEAF, LEAF], [0, 0, 1, 0, 0], [0, 1, 0, 2, 4]),
            tree([LEAF], [0], [-0.5]),
        )
    )


def test_rows_fall_to_the_leaves_one_expects() -> None:
    bins = np.array([[3, 0, 3], [0, 1, 1], [0, 1, 2], [0, 3, 0]], np.uint8)
    forest = small_forest()
    np.testing.assert_array_equal(positions(forest.trees[0], bins), [1, 3, 4, 3])
    np.testing.assert_array_equal(
        margins(forest, bins, RULES), [[1, -0.5], [2, -0.5], [4, -0.5], [2, -0.5]]
    )
    assert list(forest.trees[0].levels()) == [(0, 1), (1, 3), (3, 5)]
    assert forest.trees[0].level(3) == (5, 5)


@pytest.mark.parametrize("forest", [Forest(()), small_forest()], ids=["empty", "small"])
def test_a_table_survives_the_wire(forest: Forest) -> None:
    read = forest_from_arrays(load(save(forest.to_arrays())), RULES)
    assert len(read.trees) == len(forest.trees)
    for name, column in forest.to_arrays().items():
        np.testing.assert_array_equal(read.to_arrays()[name], column)


@pytest.mark.parametrize(
    ("column", "row", "entry", "complaint"),
    [
        ("feature", 0, 3, "unknown feature"),
        ("feature", 0, -2, "unknown feature"),
        ("feature", 2, LEAF, "a leaf has a bin"),
        ("feature", 1, 0, "do not tally"),
        ("feature", 5, 0, "do not tally"),
        ("bin", 0, 3, "bin is out of range"),
        ("bin", 0, -1, "bin is out of range"),
        ("bin", 1, 1, "a leaf has a bin"),
        ("value", 1, np.nan, "value is not finite"),
        ("value", 1, np.inf, "value is not finite"),
        ("value", 1, 3e38, "value is not finite"),
        ("hessian", 0, -1, "negative"),
        ("gain", 1, 1, "a leaf has a gain"),
        ("gain", 0, -np.inf, "gain is not finite"),
        ("sizes", 0, 0, "size is out of range"),
        ("sizes", 0, 8, "size is out of range"),
        ("sizes", 0, 3, "unequal length"),
    ],
)
def test_a_false_entry_is_refused(column: str, row: int, entry: float, complaint: str) -> None:
    arrays = small_forest().to_arrays()
    arrays[column][row] = entry
    with pytest.raises(CorruptFile, match=complaint):
        forest_from_arrays(arrays, RULES)


def test_a_false_form_is_refused() -> None:
    good = small_forest().to_arrays()
    chain = tree([0, LEAF, 0, LEAF, 0, LEAF, LEAF], [0] * 7, [0.0] * 7)
    malformed: dict[str, Arrays] = {
        "other columns": {name: good[name] for name in good if name != "gain"},
        "not a vector": good | {"value": good["value"][:, None]},
        "number type": good | {"value": good["value"].astype(np.float64)},
        "whole number of rounds": Forest(small_forest().trees[:1]).to_arrays(),
        "deeper": Forest((chain, chain)).to_arrays(),
        "unequal": good | {"gain": good["gain"][:-1]},
    }
    for complaint, arrays in malformed.items():
        with pytest.raises(CorruptFile, match=complaint):
            forest_from_arrays(arrays, RULES)
    assert len(forest_from_arrays(good, RULES, rounds=1).trees) == RULES.trees
    with pytest.raises(CorruptFile, match="another number of rounds"):
        forest_from_arrays(good, RULES, rounds=2)


def test_one_round_by_hand() -> None:
    """Two rows a class, p = 1/2: G = -1/2 or 1/2 a row, H = 1/2; eta 1/2, lambda 1, depth 1."""
    bins = np.array([[0, 0, 0], [0, 0, 0], [2, 0, 0], [2, 0, 0]], np.uint8)
    labels = np.array([0, 0, 1, 1])
    state = start_round(RULES, 1)
    while state.plan(RULES) is not None:
        sums = level_sums(
            bins,
            labels,
            rules=RULES,
            forest=Forest(()),
            partial=state.partial,
            round_=1,
            level=state.level,
        )
        state = grow(RULES, state, sums)
    first, second = state.partial.trees
    # left: G = -1, H = 1: weight 1 / (1 + 1); gain 2 * 1^2 / (1 + 1) - 0 = 1
    np.testing.assert_array_equal(first.feature, [0, LEAF, LEAF])
    np.testing.assert_array_equal(first.bin, [0, 0, 0])
    np.testing.assert_array_equal(first.value, np.array([0, 0.25, -0.25], np.float32))
    np.testing.assert_array_equal(second.value, np.array([0, -0.25, 0.25], np.float32))
    np.testing.assert_array_equal(first.hessian, np.array([2, 1, 1], np.float32))
    np.testing.assert_array_equal(first.gain, np.array([1, 0, 0], np.float32))


def test_softmax_and_gradients_against_float64() -> None:
    margin = np.random.default_rng(0).normal(0, 4, (50, 3)).astype(np.float32)
    margin[0] = [-200, -300, -250]
    margin[1] = [1e30, -1e30, 0]
    labels = np.arange(50) % 3
    powers = np.exp(margin.astype(np.float64) - margin.max(axis=1, keepdims=True))
    exact = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(margin), exact, rtol=2e-6, atol=1e-30)
    gradient, hessian = gradients(margin, labels)
    np.testing.assert_allclose(gradient, exact - np.eye(3)[labels], atol=2e-7)
    np.testing.assert_allclose(hessian, np.maximum(2 * exact * (1 - exact), 1e-16), atol=2e-7)
    assert gradient.dtype == hessian.dtype == np.float32
    assert hessian.min() >= np.float32(1e-16)


def test_sums_that_no_rows_can_have_are_refused() -> None:
    plan = start_round(RULES, 1).plan(RULES)
    assert plan is not None
    good = np.zeros((2, 3, 4, 2), np.int64)
    check_sums("north", good, rules=RULES, plan=plan, examples=1)
    big = good.copy()
    big[:, :, 0, 1] = 1 << 30
    low = good.copy()
    low[:, :, 0, 0] = -(1 << 31)
    for sums, examples, complaint in (
        (good.astype(np.float64), 1, "not int64"),
        (good[:1], 1, "not int64"),
        (good, 0, "examples"),
        (big, 1, "hessian"),
        (-big, 1, "hessian"),
        (low, 1, "gradient"),
    ):
        with pytest.raises(UpdateRejected, match=complaint) as caught:
            check_sums("north", sums, rules=RULES, plan=plan, examples=examples)
        assert caught.value.site == "north"


def test_the_grid_of_the_default_study() -> None:
    phase = BoosterPhase()
    grid = log_grid(phase.grid.lowest, phase.grid.highest, phase.grid.levels)
    assert grid.levels == 32
    np.testing.assert_allclose(grid.edges[[0, -1]], [0.01, 32.0])
    ratios = grid.edges[1:] / grid.edges[:-1]
    np.testing.assert_allclose(ratios, (32 / 0.01) ** (1 / 30), rtol=1e-5)
    rules = rules_of(phase, classes=4, features=128, seed=1)
    assert (rules.trees, rules.drawn, rules.levels) == (12, 64, 32)
    np.testing.assert_allclose(rules.shrinkage, 0.2, rtol=1e-6)


@pytest.mark.parametrize("settings", [(0.0, 1.0, 8), (2.0, 1.0, 8), (1.0, 2.0, 257)])
def test_a_grid_that_cannot_be_is_refused(settings: tuple[float, float, int]) -> None:
    with pytest.raises(ConfigError, match="no grid"):
        log_grid(*settings)
    with pytest.raises(ConfigError, match="cannot tell"):
        log_grid(1.0, 1.0 + 1e-6, 200)


def test_a_feature_that_is_not_a_number_is_refused_without_its_value() -> None:
    features = np.array([[1.0, np.nan], [1.0, 1.0]], np.float32)
    with pytest.raises(DataError, match="1 of 2 feature rows"):
        bin_features(features, log_grid(0.01, 32.0, 32))


def test_drawn_columns_never_change() -> None:
    """Sites of different versions draw alike; a change here is a change of the protocol."""
    rules = replace(RULES, features=16, columns=0.25, seed=42)
    assert drawn_columns(rules, 1, 0, 0).tolist() == [0, 1, 4, 5]
    assert drawn_columns(rules, 2, 3, 1).tolist() == [6, 12, 13, 15]
