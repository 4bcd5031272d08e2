"""Laws of the federated histograms: only the pooled rows count, not who holds them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from client.boosting import level_sums
from common.boosting.grid import bin_features, log_grid
from common.boosting.growing import RoundState, grow, start_round
from common.boosting.histograms import check_sums
from common.boosting.rules import Rules
from common.boosting.sampling import drawn_columns
from common.boosting.trees import Forest, forest_from_arrays, positions
from common.digests import digest_arrays
from common.errors import UpdateRejected

RULES = Rules(
    classes=3,
    features=5,
    levels=8,
    depth=3,
    parallel_trees=2,
    eta=0.6,
    l2=1.0,
    min_child_weight=0.1,
    columns=0.6,
    seed=3,
)
ALL_RULES = [RULES, replace(RULES, columns_by="tree"), replace(RULES, columns=1.0)]
Rows = tuple[NDArray[np.uint8], NDArray[np.int64]]

quiet = settings(deadline=None, derandomize=True, max_examples=15)
every_rule = pytest.mark.parametrize("rules", ALL_RULES, ids=["by-node", "by-tree", "all"])


def rows_of(seed: int, count: int) -> Rows:
    chance = np.random.default_rng(seed)
    bins = chance.integers(0, RULES.levels, (count, RULES.features), dtype=np.uint8)
    labels = (bins[:, 0].astype(np.int64) + chance.integers(0, 2, count)) % RULES.classes
    return bins, labels


def told(rules: Rules, rows: Rows, forest: Forest, state: RoundState) -> NDArray[np.int64]:
    return level_sums(
        rows[0],
        rows[1],
        rules=rules,
        forest=forest,
        partial=state.partial,
        round_=state.round,
        level=state.level,
    )


def keep(rules: Rules, forest: Forest, state: RoundState) -> tuple[Forest, RoundState]:
    return forest, state


def restart(rules: Rules, forest: Forest, state: RoundState) -> tuple[Forest, RoundState]:
    """Carry the trees through their table, as a message does."""
    partial = forest_from_arrays(state.partial.to_arrays(), rules, rounds=1)
    return forest_from_arrays(forest.to_arrays(), rules), replace(state, partial=partial)


def train(
    rules: Rules,
    sites: list[Rows],
    between: Callable[[Rules, Forest, RoundState], tuple[Forest, RoundState]] = keep,
) -> Forest:
    forest = Forest(())
    for round_ in (1, 2):
        state = start_round(rules, round_)
        while state.plan(rules) is not None:
            total = np.sum([told(rules, rows, forest, state) for rows in sites], axis=0)
            state = grow(rules, state, total)
            forest, state = between(rules, forest, state)
        forest = forest + state.partial
    return forest


@every_rule
@quiet
@given(
    seed=st.integers(0, 10_000),
    owners=st.lists(st.integers(0, 3), min_size=20, max_size=80),
    order=st.permutations(range(4)),
)
def test_any_partition_in_any_order_gives_the_same_bits(
    rules: Rules, seed: int, owners: list[int], order: list[int]
) -> None:
    bins, labels = rows_of(seed, len(owners))
    owner = np.array(owners)
    sites = [(bins[owner == site], labels[owner == site]) for site in order]
    pooled = train(rules, [(bins, labels)])
    assert digest_arrays(train(rules, sites).to_arrays()) == digest_arrays(pooled.to_arrays())


@every_rule
def test_a_restart_after_every_level_changes_nothing(rules: Rules) -> None:
    rows = rows_of(1, 60)
    steady, restarted = train(rules, [rows]), train(rules, [rows], between=restart)
    assert digest_arrays(steady.to_arrays()) == digest_arrays(restarted.to_arrays())


@quiet
@given(seed=st.integers(0, 10_000))
def test_right_is_parent_less_left_to_the_last_unit(seed: int) -> None:
    rules = replace(RULES, columns=1.0)
    bins, labels = rows_of(seed, 50)
    state = start_round(rules, 1)
    forest = Forest(())
    while (plan := state.plan(rules)) is not None:
        sums = told(rules, (bins, labels), forest, state)
        if state.level:
            for entry, (index, left) in enumerate(zip(plan.tree, plan.node, strict=True)):
                falls_right = positions(state.partial.trees[index], bins) == left + 1
                # The rows of the right child alone, asked for as if a site held nothing else.
                alone = told(rules, (bins[falls_right], labels[falls_right]), forest, state)
                assert not alone[entry].any()
                np.testing.assert_array_equal(
                    state.parents[entry] - sums[entry],
                    direct_sums(rules, (bins[falls_right], labels[falls_right]), int(index)),
                )
        state = grow(rules, state, sums)


def direct_sums(rules: Rules, rows: Rows, tree: int) -> NDArray[np.int64]:
    """Sums at the root of the first round over these rows: before any tree, p = 1 / classes."""
    sums = told(rules, rows, Forest(()), start_round(rules, 1))
    return np.asarray(sums[tree])


@every_rule
@quiet
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60))
def test_what_a_site_tells_passes_the_check(rules: Rules, seed: int, count: int) -> None:
    rows = rows_of(seed, count)
    forest = train(rules, [rows])
    state = start_round(rules, 3)
    while (plan := state.plan(rules)) is not None:
        sums = told(rules, rows, forest, state)
        check_sums("north", sums, rules=rules, plan=plan, examples=count)
        moved = sums.copy()
        moved[0, -1, 0, 0] += 1
        with pytest.raises(UpdateRejected, match="differ between features"):
            check_sums("north", moved, rules=rules, plan=plan, examples=count)
        state = grow(rules, state, sums)


@quiet
@given(
    value=st.floats(0, 100, width=32),
    levels=st.integers(3, 256),
    lowest=st.floats(0.001, 1),
    span=st.floats(2, 1000),
)
def test_a_bin_says_which_edges_a_value_reaches(
    value: float, levels: int, lowest: float, span: float
) -> None:
    grid = log_grid(lowest, lowest * span, levels)
    features = np.array([[value], [0.0], [np.inf], [grid.edges[1]]], np.float32)
    bins = bin_features(features, grid)
    for split in range(levels - 1):
        np.testing.assert_array_equal(bins <= split, features < grid.edges[split])
    assert bins[1] == 0
    assert bins[2] == levels - 1


@quiet
@given(
    features=st.integers(1, 300),
    columns=st.floats(0.01, 1.0),
    place=st.tuples(st.integers(1, 50), st.integers(0, 30), st.integers(0, 30)),
)
def test_a_draw_is_without_replacement_and_the_same_again(
    features: int, columns: float, place: tuple[int, int, int]
) -> None:
    rules = replace(RULES, features=features, columns=columns)
    drawn = drawn_columns(rules, *place)
    assert len(drawn) == rules.drawn == max(1, int(columns * features))
    assert (np.diff(drawn) > 0).all()
    assert drawn.min() >= 0
    assert drawn.max() < features
    np.testing.assert_array_equal(drawn, drawn_columns(rules, *place))
