"""Seconds of the booster's histograms by rows, features and bins, and against the library.

One exchange is what a site does for a level of the trees (`client.boosting.level_sums`) and what
the coordinator makes of the sum (`common.boosting.growing.grow`): the deepest level of the second
round, so that rows lie in many nodes and margins have to be found. Around the study's default, one
of rows, features and bins is varied at a time. Below stands a whole forest, all exchanges of one
site added up, against `xgboost.train` with `tree_method="hist"` on the same bins, one thread both:
what the exchanges, which may be anywhere in the world, cost in arithmetic.

    python -m benchmarks.booster
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import xgboost
from numpy.typing import NDArray

from benchmarks.clock import Lap
from benchmarks.ledger import Figure, enter, parser
from client.boosting import level_sums
from common.boosting.grid import bin_features, log_grid
from common.boosting.growing import RoundState, grow, start_round
from common.boosting.rules import Rules, rules_of
from common.boosting.trees import Forest
from common.study.phases import BoosterPhase

CLASSES, FEATURES, ROWS = 4, 128, 3000  # of the Taleqani scenario: H2, and a site's views
PHASE = BoosterPhase()
RULES = rules_of(PHASE, classes=CLASSES, features=FEATURES, seed=1)


def main() -> None:
    """Print seconds of an exchange, then of a whole forest."""
    made = parser(__doc__)
    made.add_argument("--rows", type=int, nargs="+", default=[1000, ROWS, 10_000, 100_000])
    made.add_argument("--features", type=int, nargs="+", default=[32, 512, 4096])
    made.add_argument("--bins", type=int, nargs="+", default=[8, 256])
    made.add_argument("--repeats", type=int, default=5)
    asked = made.parse_args()
    cases = [
        *((f"{rows} rows", rows, RULES) for rows in asked.rows),
        *((f"{n} features", ROWS, replace(RULES, features=n)) for n in asked.features),
        *((f"{n} bins", ROWS, replace(RULES, levels=n)) for n in asked.bins),
    ]
    figures = []
    for what, rows, rules in cases:
        site, coordinator, size = _exchange(rows, rules, asked.repeats)
        figures += [
            Figure(name=f"exchange, {what}: site", value=site, unit="s"),
            Figure(name=f"exchange, {what}: coordinator", value=coordinator, unit="s"),
            Figure(name=f"exchange, {what}: up", value=size / 1e6, unit="MB"),
        ]
    enter(asked, figures + _against_the_library(asked))


def _rows(rows: int, rules: Rules) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw features as a ReLU leaves them, the first of which tell the class."""
    chance = np.random.default_rng(1)
    values = np.maximum(chance.normal(0.4, 1.0, (rows, rules.features)), 0)
    told = values[:, :CLASSES] + chance.normal(0, 0.7, (rows, CLASSES))
    grid = log_grid(PHASE.grid.lowest, PHASE.grid.highest, rules.levels)
    return bin_features(values.astype(np.float32), grid), np.argmax(told, axis=1)


def _exchange(rows: int, rules: Rules, repeats: int) -> tuple[float, float, int]:
    """Return seconds at a site, seconds at the coordinator, and bytes up, of the last level."""
    bins, labels = _rows(rows, rules)
    forest = _grown(bins, labels, rules, 1)
    state = start_round(rules, 2)
    while state.level < rules.depth - 1:
        state = grow(rules, state, _sums(bins, labels, rules, forest, state))
    sums = _sums(bins, labels, rules, forest, state)
    site = _seconds(lambda: _sums(bins, labels, rules, forest, state), repeats)
    return site, _seconds(lambda: grow(rules, state, sums), repeats), sums.nbytes


def _sums(
    bins: NDArray[np.uint8],
    labels: NDArray[np.int64],
    rules: Rules,
    forest: Forest,
    state: RoundState,
) -> NDArray[np.int64]:
    return level_sums(
        bins, labels, rules=rules, forest=forest, partial=state.partial, round_=state.round,
        level=state.level,
    )  # fmt: skip


def _grown(bins: NDArray[np.uint8], labels: NDArray[np.int64], rules: Rules, rounds: int) -> Forest:
    forest = Forest(())
    for number in range(1, rounds + 1):
        state = start_round(rules, number)
        while state.plan(rules) is not None:
            state = grow(rules, state, _sums(bins, labels, rules, forest, state))
        forest = forest + state.partial
    return forest


def _seconds(work: Callable[[], object], repeats: int) -> float:
    spent = []
    for _ in range(repeats):
        with Lap() as lap:
            work()
        spent.append(lap.spent.cpu_s)
    return statistics.median(spent)


def _against_the_library(asked: argparse.Namespace) -> list[Figure]:
    """Grow the study's whole forest in both ways, in turn."""
    bins, labels = _rows(ROWS, RULES)
    settings = {
        "objective": "multi:softprob", "num_class": CLASSES, "tree_method": "hist",
        "max_bin": RULES.levels, "max_depth": RULES.depth, "eta": RULES.eta,
        "lambda": RULES.l2, "min_child_weight": RULES.min_child_weight, "nthread": 1,
        "num_parallel_tree": RULES.parallel_trees, "colsample_bytree": RULES.columns,
        "base_score": 0.5,
    }  # fmt: skip
    ours, theirs = [], []
    for _ in range(asked.repeats):
        ours.append(_seconds(lambda: _grown(bins, labels, RULES, PHASE.rounds), 1))
        theirs.append(
            _seconds(
                lambda: xgboost.train(
                    settings, xgboost.DMatrix(bins, labels), num_boost_round=PHASE.rounds
                ),
                1,
            )
        )
    one, other = statistics.median(ours), statistics.median(theirs)
    return [
        Figure(name=f"forest of {PHASE.rounds} rounds, {ROWS} rows: ours", value=one, unit="s"),
        Figure(name="the same by xgboost.train, pooled", value=other, unit="s"),
        Figure(name="ours over xgboost.train", value=one / other, unit="x"),
    ]


if __name__ == "__main__":
    main()
