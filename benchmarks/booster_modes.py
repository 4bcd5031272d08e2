"""The booster's four modes on the same rows: how good, how many bytes, exchanges and seconds.

    python -m benchmarks.booster_modes [--features FILE.npz | --run RUN] [--modes ...] [--draws N]

Rows are generated to be like H2 (non-negative, heavy-tailed; three sites of unequal size and
mixture), or a file's (arrays `train_x`, `train_y`, `train_site`, `test_x`, `test_y`), or the H2
features that the sites of a finished simulation compute with its model. The coordinator's own
phase asks the sites' own doors, in this process; no image is touched. Beside it stands XGBoost on
the pooled rows: unbinned (`tree_method: exact`), in bins of its own, and in the study's. The
collective's bytes are counted by a relay between the members and the place where they meet. A tree
sees a part of the features, drawn by the study's seed: --draws repeats all of it with others, and
tells means, and log-loss's deviation. `benchmarks.booster_tls` asks real processes.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
import yaml
from scipy.special import softmax
from sklearn.metrics import f1_score, log_loss

from benchmarks.booster_ways import MODES, Cost, grown, pooled, study_of
from common.boosting.rules import Rules
from common.study.phases import BoosterPhase
from tests.support.booster_rows import Rows, generated, of_file, of_run


def in_process(
    rows: Rows,
    modes: Sequence[str],
    settings: Mapping[str, Any],
    draws: int,
    own_bins: Sequence[int],
) -> None:
    """Print a row per mode: means over so many draws of the trees' columns."""
    print(
        f"{len(rows.pooled[1])} rows at {len(rows.sites)} sites, {rows.test[0].shape[1]} features; "
        f"{len(rows.test[1])} rows asked; {draws} draws of columns; {os.cpu_count()} cores, "
        f"xgboost {xgboost.__version__}"
    )
    print(
        f"{'':<24}{'accuracy':>9}{'macro F1':>9}{'log-loss':>9}{'+-':>7}{'exchanges':>10}"
        f"{'kB up':>9}{'kB down':>9}{'seconds':>9}{'CPU s':>8}"
    )
    base = BoosterPhase.model_validate({"input": "concat", **settings})
    for name, way in _ways(rows, base, modes, own_bins).items():
        _row(name, [way(seed) for seed in range(1, draws + 1)], rows)


def _ways(
    rows: Rows, base: BoosterPhase, modes: Sequence[str], own_bins: Sequence[int]
) -> dict[str, Callable[[int], Cost]]:
    """Return what grows the trees of a seed, by name."""

    def rules(seed: int) -> Rules:
        return Rules(
            classes=len(study_of(rows, base, seed).labels.classes),
            features=rows.test[0].shape[1], levels=base.grid.levels, depth=base.depth,
            parallel_trees=base.parallel_trees, eta=base.eta, l2=base.l2,
            min_child_weight=base.min_child_weight, columns=base.columns, seed=seed,
            columns_by=base.columns_by,
        )  # fmt: skip

    def at_once(seed: int, *, bins: int = 256, binned: bool = False) -> Cost:
        study = study_of(rows, base, seed) if binned else None
        return pooled(rows, rules(seed), base.rounds, bins=bins, study=study)

    def among_sites(seed: int, changes: Mapping[str, Any]) -> Cost:
        study = study_of(rows, base.model_copy(update=changes), seed)
        with tempfile.TemporaryDirectory(prefix="lkf-modes-") as folder:
            return grown(rows, study, Path(folder))

    changed: dict[str, dict[str, Any]] = {mode: {"mode": mode} for mode in modes}
    if "bagging" in modes:
        # A sum over the sites of the same steps, each shorter, but not so much as by their number.
        eta = base.eta / len(rows.sites) ** 0.5
        summed = {"mode": "bagging", "bagging": "sum", "eta": eta}
        changed[f"bagging, sum, eta {eta:.2f}"] = summed
    if "cyclic" in modes:
        turns = len(rows.sites) * base.rounds
        changed[f"cyclic, {turns} rounds"] = {"mode": "cyclic", "rounds": turns}
    return {
        "pooled xgboost, exact": partial(at_once, bins=0),
        **{f"pooled, {n} own bins": partial(at_once, bins=n) for n in own_bins},
        "pooled, the study's bins": partial(at_once, binned=True),
        **{name: partial(among_sites, changes=changes) for name, changes in changed.items()},
    }


def _row(name: str, costs: Sequence[Cost], rows: Rows) -> None:
    labels = rows.test[1]
    found = [cost.margin.argmax(axis=1) for cost in costs]
    losses = [
        log_loss(labels, softmax(cost.margin, axis=1), labels=np.arange(cost.margin.shape[1]))
        for cost in costs
    ]
    accuracy = np.mean([(one == labels).mean() for one in found])
    macro_f1 = np.mean([f1_score(labels, one, average="macro") for one in found])
    mean = {f: np.mean([getattr(cost, f) for cost in costs])
            for f in ("exchanges", "up", "down", "seconds", "cpu_s")}  # fmt: skip
    print(
        f"{name:<24}{accuracy:>9.3f}{macro_f1:>9.3f}{np.mean(losses):>9.4f}{np.std(losses):>7.4f}"
        f"{mean['exchanges']:>10.0f}{mean['up'] / 1e3:>9.1f}{mean['down'] / 1e3:>9.1f}"
        f"{mean['seconds']:>9.1f}{mean['cpu_s']:>8.2f}",
        flush=True,
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--features", type=Path)
    source.add_argument("--run", type=Path)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE",
                        help="settings of the booster, for example rounds=12 eta=0.4")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the generated rows")
    parser.add_argument(
        "--draws", type=int, default=1, help="of the trees' columns: means over them"
    )
    parser.add_argument("--own-bins", type=int, nargs="+", default=[256], metavar="N",
                        help="max_bin of XGBoost on the pooled rows")  # fmt: skip
    asked = parser.parse_args()
    rows, settings = generated(asked.seed), dict[str, Any]()
    if asked.features:
        rows = of_file(asked.features)
    elif asked.run:
        rows, study = of_run(asked.run)
        settings = study.phase(BoosterPhase).model_dump(exclude={"mode", "input"})
    settings |= {name: yaml.safe_load(value) for name, _, value in
                 (one.partition("=") for one in asked.set)}  # fmt: skip
    in_process(rows, asked.modes, settings, asked.draws, asked.own_bins)


if __name__ == "__main__":
    main()
