"""What the rules are called at XGBoost, and a round that it grows on one site's rows."""

from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from common.boosting.rules import Rules
from common.boosting.trees import Forest
from common.boosting.xgb_model import read_trees


def xgb_parameters(rules: Rules, seed: int) -> dict[str, Any]:
    """Return the rules as XGBoost's parameters.

    Every bin is a candidate for a cut, so that no sketch of quantiles, which would differ between
    sites, decides where a tree can split. One thread: with more, sums differ in their last bits.

    Args:
        rules: the study's.
        seed: of the draw of columns.
    """
    return {
        "objective": "multi:softprob",
        "num_class": rules.classes,
        "base_score": 0.0,
        "tree_method": "hist",
        "max_bin": 256,
        "max_depth": rules.depth,
        "eta": rules.eta,
        "lambda": rules.l2,
        "min_child_weight": rules.min_child_weight,
        "num_parallel_tree": rules.parallel_trees,
        f"colsample_by{rules.columns_by}": rules.columns,
        "nthread": 1,
        "seed": seed & 0x7FFFFFFF,
    }


def binned_rows(bins: NDArray[np.uint8], labels: NDArray[np.int64]) -> xgboost.DMatrix:
    """Return rows as XGBoost takes them, each value the number of its bin."""
    return xgboost.DMatrix(bins.astype(np.float32), labels, nthread=1)


def grow_round(
    bins: NDArray[np.uint8],
    labels: NDArray[np.int64],
    margin: NDArray[np.float32],
    *,
    rules: Rules,
    seed: int,
) -> Forest:
    """Grow one round's trees, class by class, from the margins of the forest so far.

    Args:
        bins: uint8 (n, features).
        labels: int64 (n,), the study's class numbers; a class may be lacking.
        margin: float32 (n, classes), by `common.boosting.trees.margins`.
        rules: the study's.
        seed: of the draw of columns.

    Raises:
        CorruptFile: as `read_trees` says.
    """
    rows = binned_rows(bins, labels)
    rows.set_base_margin(margin)
    return read_trees(xgboost.train(xgb_parameters(rules, seed), rows, 1), rules)
