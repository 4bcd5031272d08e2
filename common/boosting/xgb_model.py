"""The forest as an ordinary XGBoost model, and back: our table of what XGBoost grew on bins."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
import xgboost
from numpy.typing import NDArray

from common.boosting.grid import Grid
from common.boosting.rules import Rules
from common.boosting.trees import LEAF, Forest, Tree, forest_from_arrays
from common.errors import CorruptFile

_FORMAT = [3, 0, 0]  # the oldest version whose layout this is; newer ones read it
_NO_PARENT = 2**31 - 1


def write_model(
    forest: Forest,
    grid: Grid,
    *,
    rules: Rules,
    classes: Sequence[str],
    encoding: Literal["ubj", "json"] = "ubj",
) -> bytes:
    """Write a model that `xgboost.Booster().load_model(bytearray(...))` reads.

    It predicts class probabilities (`multi:softprob`) on the features themselves, not on bins. The
    class names stand in its attribute `classes`, as a JSON list. XGBoost reads what we wrote once
    before it is returned.
    """
    document = _document(forest, grid, rules, classes)
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(document).encode()))
    return bytes(booster.save_raw(raw_format=encoding))


def read_trees(booster: xgboost.Booster, rules: Rules) -> Forest:
    """Return the trees that XGBoost grew in this process on the numbers of bins.

    It sends values below a threshold to the left; of whole numbers those are the bins up to
    ceil(threshold) - 1. What comes from another party is no XGBoost model but a table, which
    `common.boosting.trees.forest_from_arrays` checks.

    Raises:
        CorruptFile: the trees are not those of the rules, class by class.
    """
    document = json.loads(bytes(booster.save_raw(raw_format="json")))
    model = document["learner"]["gradient_booster"]["model"]
    forest = Forest(tuple(_read_tree(tree) for tree in model["trees"]))
    if model["tree_info"] != [rules.class_of(index) for index in range(len(forest.trees))]:
        raise CorruptFile(
            "XGBoost's trees do not come class by class",
            fix="install the version of xgboost that constraints.txt names",
        )
    return forest_from_arrays(forest.to_arrays(), rules)


def _read_tree(tree: Mapping[str, Any]) -> Tree:
    """Read one tree, its nodes put in order level by level."""
    order, level = [], [0]
    while level:
        order += level
        level = [
            child
            for node in level
            if tree["left_children"][node] >= 0
            for child in (tree["left_children"][node], tree["right_children"][node])
        ]
    inner = np.array(tree["left_children"])[order] >= 0
    condition = np.array(tree["split_conditions"], np.float32)[order]
    weight = np.array(tree["base_weights"], np.float32)[order]
    return Tree(
        feature=np.where(inner, np.array(tree["split_indices"])[order], LEAF).astype(np.int32),
        bin=np.where(inner, np.ceil(condition) - 1, 0).astype(np.int32),
        value=np.where(inner, weight, condition),
        hessian=np.array(tree["sum_hessian"], np.float32)[order],
        gain=np.where(inner, np.array(tree["loss_changes"], np.float32)[order], np.float32(0)),
    )


def _document(forest: Forest, grid: Grid, rules: Rules, classes: Sequence[str]) -> dict[str, Any]:
    """Lay the model out as XGBoost's JSON schema describes."""
    count = len(forest.trees)
    model = {
        "gbtree_model_param": {
            "num_parallel_tree": str(rules.parallel_trees),
            "num_trees": str(count),
        },
        "iteration_indptr": list(range(0, count + 1, rules.trees)),
        "tree_info": [rules.class_of(index) for index in range(count)],
        "trees": [_tree(index, tree, grid, rules) for index, tree in enumerate(forest.trees)],
    }
    learner = {
        "attributes": {"classes": json.dumps(list(classes))},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": {
            "base_score": "0E0",
            "boost_from_average": "0",
            "num_class": str(rules.classes),
            "num_feature": str(rules.features),
            "num_target": "1",
        },
        "objective": {
            "name": "multi:softprob",
            "softmax_multiclass_param": {"num_class": str(rules.classes)},
        },
    }
    return {"learner": learner, "version": _FORMAT}


def _tree(index: int, tree: Tree, grid: Grid, rules: Rules) -> dict[str, Any]:
    nodes = len(tree.feature)
    inner = tree.feature != LEAF
    left = np.where(inner, tree.left, -1)
    pairs = ([node, node] for node in np.flatnonzero(inner).tolist())
    return {
        "base_weights": _numbers(tree.value),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": [0] * nodes,
        "id": index,
        "left_children": left.tolist(),
        "loss_changes": _numbers(tree.gain),
        "parents": [_NO_PARENT, *chain.from_iterable(pairs)],
        "right_children": np.where(inner, left + 1, -1).tolist(),
        # bin <= b is value < edges[b]
        "split_conditions": _numbers(np.where(inner, grid.edges[tree.bin], tree.value)),
        "split_indices": np.where(inner, tree.feature, 0).tolist(),
        "split_type": [0] * nodes,
        "sum_hessian": _numbers(tree.hessian),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(rules.features),
            "num_nodes": str(nodes),
            "size_leaf_vector": "1",
        },
    }


def _numbers(values: NDArray[np.float32]) -> list[float]:
    """Return the shortest decimals that read back as the same float32."""
    return [float(str(value)) for value in values]
