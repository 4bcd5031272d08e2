"""xgboost reads the model that is written of a forest, and finds in it what the forest says."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xgboost

from client.boosting import softmax
from common.boosting.grid import bin_features
from common.boosting.trees import LEAF, Forest, margins, positions
from common.boosting.xgb_model import write_model
from tests.support.small_forest import (
    GRID,
    PLAIN,
    features_and_labels,
    grow_forest,
    pooled_rows,
    xgboost_parameters,
)


@pytest.mark.parametrize("encoding", ["ubj", "json"])
def test_the_written_model_predicts_what_the_table_says(encoding: Any) -> None:
    rules = replace(PLAIN, columns=0.5, parallel_trees=3, eta=0.6)
    values, labels = features_and_labels(9)
    values[:40, 0] = np.resize(GRID.edges, 40)  # rows that lie on an edge
    values[40:80, 1] = np.resize(np.nextafter(GRID.edges, np.float32(0)), 40)
    values[80, :] = 1e6
    bins = bin_features(values, GRID)
    forest = grow_forest(rules, [(bins, labels)], 3)
    model = write_model(
        forest, GRID, rules=rules, classes=["Benign", "Early", "Pre", "Pro"], encoding=encoding
    )
    booster = xgboost.Booster()
    booster.load_model(bytearray(model))
    data = xgboost.DMatrix(values)
    mine = margins(forest, bins, rules)
    np.testing.assert_allclose(booster.predict(data, output_margin=True), mine, rtol=0, atol=1e-6)
    np.testing.assert_allclose(booster.predict(data), softmax(mine), rtol=0, atol=1e-6)
    assert booster.num_boosted_rounds() == 3
    assert booster.num_features() == rules.features
    settings = json.loads(booster.save_config())["learner"]["gradient_booster"]
    assert settings["gbtree_model_param"]["num_parallel_tree"] == "3"
    assert booster.attr("classes") == '["Benign", "Early", "Pre", "Pro"]'
    first = booster.predict(data, output_margin=True, iteration_range=(0, 1))
    only = margins(Forest(forest.trees[: rules.trees]), bins, rules)
    np.testing.assert_allclose(first, only, rtol=0, atol=1e-6)
    leaves = booster.predict(data, pred_leaf=True).reshape(len(values), -1)
    fallen = np.stack([positions(tree, bins) for tree in forest.trees], axis=1)
    np.testing.assert_array_equal(leaves, fallen)


def test_the_written_model_tells_gain_and_cover() -> None:
    rows = pooled_rows(10)
    forest = grow_forest(PLAIN, [rows], 3)
    model = write_model(forest, GRID, rules=PLAIN, classes=["a", "b", "c", "d"])
    booster = xgboost.Booster()
    booster.load_model(bytearray(model))
    feature = np.concatenate([tree.feature for tree in forest.trees])
    for kind, column in {"gain": "gain", "cover": "hessian"}.items():
        values = np.concatenate([getattr(tree, column) for tree in forest.trees])
        expected = {f"f{f}": values[feature == f].mean() for f in np.unique(feature) if f != LEAF}
        scores = booster.get_score(importance_type=kind)
        assert set(scores) == set(expected)
        np.testing.assert_allclose(
            [scores[name] for name in expected], list(expected.values()), rtol=1e-5
        )


def test_a_written_model_can_be_trained_on() -> None:
    """Whoever has pooled rows can go on from a release: the model is an ordinary one."""
    values, labels = features_and_labels(12)
    forest = grow_forest(PLAIN, [(bin_features(values, GRID), labels)], 2)
    start = xgboost.Booster(
        model_file=bytearray(write_model(forest, GRID, rules=PLAIN, classes=["a", "b", "c", "d"]))
    )
    data = xgboost.DMatrix(values, labels)
    longer = xgboost.train(xgboost_parameters(PLAIN), data, 2, xgb_model=start)
    assert longer.num_boosted_rounds() == 4
    np.testing.assert_array_equal(
        longer.predict(data, output_margin=True, iteration_range=(0, 2)),
        start.predict(data, output_margin=True),
    )
