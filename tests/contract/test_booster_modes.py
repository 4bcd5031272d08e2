"""Whole trees in the booster: the oracle is plain xgboost, on the numbers of the bins."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import xgboost
from flwr.serverapp.strategy.strategy_utils import aggregate_bagging
from numpy.typing import NDArray

from common.boosting.grid import bin_features, log_grid
from common.boosting.rules import Rules
from common.boosting.trees import LEAF, Forest, margins
from common.boosting.xgb_model import write_model
from common.boosting.xgb_train import grow_round
from common.errors import UpdateRejected
from server.phases.booster_trees import check_trees, joined

GRID = log_grid(0.01, 32.0, 32)
RULES = Rules(
    classes=4,
    features=10,
    levels=32,
    depth=3,
    parallel_trees=1,
    eta=0.5,
    l2=1.0,
    min_child_weight=1.0,
    columns=1.0,
    seed=11,
)
Rows = tuple[NDArray[np.uint8], NDArray[np.int64]]
Margin = NDArray[np.float32]


def features_and_labels(rows: int = 360) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    chance = np.random.default_rng(5)
    values = np.maximum(chance.normal(0.4, 1.0, (rows, RULES.features)), 0).astype(np.float32)
    labels = np.argmax(values[:, :4] + chance.normal(0, 0.6, (rows, 4)), axis=1)
    return values, labels.astype(np.int64)


VALUES, LABELS = features_and_labels()
BINS = bin_features(VALUES, GRID)
# The last site lacks class 0: its trees of that class must stay trees of that class.
OWNER = np.where(LABELS == 0, np.arange(len(LABELS)) % 2, np.arange(len(LABELS)) % 3)
SITES: dict[str, Rows] = {
    name: (BINS[number == OWNER], LABELS[number == OWNER])
    for number, name in enumerate(("north", "south", "west"))
}


def plain(rules: Rules, rows: Rows, rounds: int, margin: Margin | None = None) -> xgboost.Booster:
    """Train xgboost as its manual says, on the numbers of the bins."""
    data = xgboost.DMatrix(rows[0].astype(np.float32), rows[1])
    if margin is not None:
        data.set_base_margin(margin)
    parameters = {
        "objective": "multi:softprob", "num_class": rules.classes, "base_score": 0.0,
        "tree_method": "hist", "max_bin": 256, "max_depth": rules.depth, "eta": rules.eta,
        "lambda": rules.l2, "min_child_weight": rules.min_child_weight, "nthread": 1,
        "num_parallel_tree": rules.parallel_trees,
    }  # fmt: skip
    return xgboost.train(parameters, data, rounds)


def margin_of(booster: xgboost.Booster, bins: NDArray[np.uint8], base: Margin) -> Margin:
    data = xgboost.DMatrix(bins.astype(np.float32))
    data.set_base_margin(base)
    return cast(Margin, booster.predict(data, output_margin=True))


def model(booster: xgboost.Booster) -> dict[str, Any]:
    document = json.loads(bytes(booster.save_raw("json")))
    return cast("dict[str, Any]", document["learner"]["gradient_booster"]["model"])


def grown_at(rows: Rows, forest: Forest, rules: Rules) -> Forest:
    return grow_round(*rows, margins(forest, rows[0], rules), rules=rules, seed=3)


def bagged(rules: Rules, rounds: int, by: Any) -> Forest:
    forest = Forest(())
    for _ in range(rounds):
        grown = {site: grown_at(rows, forest, rules) for site, rows in SITES.items()}
        forest = forest + joined(grown, by)
    return forest


def oracle(rules: Rules, rounds: int, divisor: int) -> Margin:
    """Add, round by round, what each site's own xgboost adds to the common margin."""
    margin = {name: np.zeros((len(rows[0]), rules.classes), np.float32)
              for name, rows in (SITES | {"all": (BINS, LABELS)}).items()}  # fmt: skip
    for _ in range(rounds):
        models = [plain(rules, rows, 1, margin[site]) for site, rows in SITES.items()]
        for name, base in margin.items():
            bins = BINS if name == "all" else SITES[name][0]
            steps = [margin_of(one, bins, base) - base for one in models]
            margin[name] = base + np.sum(steps, axis=0) / divisor
    return margin["all"]


@pytest.mark.parametrize("parallel", [1, 3])
def test_one_site_alone_grows_what_plain_xgboost_grows(parallel: int) -> None:
    rules = replace(RULES, parallel_trees=parallel)
    forest = Forest(())
    for _ in range(4):
        forest = forest + joined({"north": grown_at((BINS, LABELS), forest, rules)}, "mean")
    theirs = plain(rules, (BINS, LABELS), 4)
    for ours, other in zip(forest.trees, model(theirs)["trees"], strict=True):
        leaf = np.array(other["left_children"]) < 0
        conditions = np.array(other["split_conditions"], np.float32)
        np.testing.assert_array_equal(
            np.sort(ours.value[ours.feature == LEAF]), np.sort(conditions[leaf])
        )
        np.testing.assert_array_equal(
            np.sort(ours.feature[ours.feature != LEAF]),
            np.sort(np.array(other["split_indices"])[~leaf]),
        )
    whole = theirs.predict(xgboost.DMatrix(BINS.astype(np.float32)), output_margin=True)
    np.testing.assert_array_equal(margins(forest, BINS, rules), whole)
    written = write_model(forest, GRID, rules=rules, classes=list("abcd"), encoding="json")
    document = json.loads(written)["learner"]["gradient_booster"]["model"]
    assert document["tree_info"] == model(theirs)["tree_info"]
    assert document["iteration_indptr"] == model(theirs)["iteration_indptr"]


@pytest.mark.parametrize(("by", "divisor"), [("mean", 3), ("sum", 1)])
@pytest.mark.parametrize("parallel", [1, 2])
def test_joined_trees_add_the_sites_own_steps(by: str, divisor: int, parallel: int) -> None:
    rules = replace(RULES, parallel_trees=parallel)
    forest = bagged(rules, 3, by)
    assert len(forest.trees) == 3 * len(SITES) * rules.classes * parallel
    expected = oracle(rules, 3, divisor)
    np.testing.assert_allclose(margins(forest, BINS, rules), expected, atol=2e-5)
    booster = xgboost.Booster()
    written = write_model(forest, GRID, rules=rules, classes=list("abcd"))
    booster.load_model(bytearray(written))
    assert booster.num_boosted_rounds() == 3 * len(SITES)
    found = booster.predict(xgboost.DMatrix(VALUES), output_margin=True)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_trees_that_changed_their_classes_are_noticed() -> None:
    forest = bagged(RULES, 2, "mean")
    block = RULES.classes
    swapped = Forest(
        tuple(
            tree
            for first in range(0, len(forest.trees), block)
            for tree in (*forest.trees[first + 1 : first + block], forest.trees[first])
        )
    )
    expected = oracle(RULES, 2, 3)
    assert np.abs(margins(forest, BINS, RULES) - expected).max() < 1e-4
    assert np.abs(margins(swapped, BINS, RULES) - expected).max() > 0.1


def test_flowers_own_aggregation_loses_trees_and_their_classes() -> None:
    """Why trees are joined here: Flower 1.41 keeps one tree of each site, and calls it class 0."""
    models = [bytes(plain(RULES, rows, 1).save_raw("json")) for rows in list(SITES.values())[:2]]
    found = json.loads(aggregate_bagging(*models))["learner"]["gradient_booster"]["model"]
    assert len(found["trees"]) == RULES.classes + 1
    assert found["tree_info"] == [0, 1, 2, 3, 0]
    assert len(joined({s: grown_at(r, Forest(()), RULES) for s, r in SITES.items()}, "sum").trees) \
        == 3 * RULES.classes  # fmt: skip


def columns_changed(name: str, at: int, value: float) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name][at] = value

    return change


def one_too_many(arrays: dict[str, Any]) -> None:
    for name, array in arrays.items():
        arrays[name] = np.concatenate([array, array])


def deeper(arrays: dict[str, Any]) -> None:
    """Let a chain of splits hang from a tree of full depth."""
    nodes = 2 * RULES.depth + 3
    sizes, rest = arrays["sizes"], int(arrays["sizes"][0])
    arrays["sizes"] = np.concatenate([np.array([nodes], np.int32), sizes[1:]])
    chain = {"feature": [0, LEAF] * (RULES.depth + 1) + [LEAF]}
    for name in ("feature", "bin", "value", "hessian", "gain"):
        fresh = np.array(chain.get(name, [0] * nodes), arrays[name].dtype)
        arrays[name] = np.concatenate([fresh, arrays[name][rest:]])


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a feature beyond the last": columns_changed("feature", 0, RULES.features),
    "a bin beyond the last": columns_changed("bin", 0, RULES.levels - 1),
    "a leaf that is no number": columns_changed("value", -1, np.nan),
    "an infinite leaf": columns_changed("value", -1, np.inf),
    "a leaf that no rows weigh": columns_changed("value", -1, 300.0),
    "a hessian of more rows": columns_changed("hessian", 0, 300.0),
    "a size that does not tally": columns_changed("sizes", 0, 3),
    "a negative size": columns_changed("sizes", 0, -1),
    "two rounds for one": one_too_many,
    "a tree deeper than agreed": deeper,
    "float64": lambda arrays: arrays.update(value=arrays["value"].astype(np.float64)),
    "a column more": lambda arrays: arrays.update(code=arrays["bin"]),
    "a column less": lambda arrays: arrays.pop("gain"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_trees_are_refused(kind: str) -> None:
    rows = SITES["west"]
    arrays = {k: v.copy() for k, v in grown_at(rows, Forest(()), RULES).to_arrays().items()}
    check_trees("west", arrays, RULES, rounds=1, examples=len(rows[0]))
    HOSTILE[kind](arrays)
    with pytest.raises(UpdateRejected, match="reply from west rejected"):
        check_trees("west", arrays, RULES, rounds=1, examples=len(rows[0]))


def test_a_leaf_is_bounded_by_rows_even_where_nothing_else_bounds_it() -> None:
    rules = replace(RULES, l2=0.0, min_child_weight=0.0, depth=5, eta=1.0)
    rows = (BINS[:8], LABELS[:8])
    forest = Forest(())
    for _ in range(5):
        grown = grown_at(rows, forest, rules)
        forest = forest + check_trees("west", grown.to_arrays(), rules, rounds=1, examples=8)
    assert np.isfinite(margins(forest, rows[0], rules)).all()
