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
import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
import yaml
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import softmax
from sklearn.metrics import f1_score, log_loss

from client.phases import handle
from client.site_config import Cache, Images, Limits, Numerics, SiteConfig
from common.asks import CollectiveAsk
from common.boosting.grid import bin_features, log_grid
from common.boosting.rules import Rules
from common.boosting.trees import forest_from_arrays, margins
from common.boosting.xgb_train import xgb_parameters
from common.log_head import split_head, with_head
from common.model.network import build_fusion, fusion_arrays
from common.record import read_record
from common.seeds import seed_for
from common.study.network import Network
from common.study.phases import BackbonesPhase, BoosterMode, BoosterPhase
from common.study.schema import LabelSet, Study
from common.wire import decode_reply, decode_request, encode_reply, encode_request
from server.checkpoints import Part as ModelPart
from server.checkpoints import State
from server.course import open_conduct
from server.phases import booster
from server.progress import PlainProgress
from server.rounds import Rounds
from server.run_folder import RunFolder
from simulations.engines.inprocess import LoopbackGrid
from tests.support.booster_rows import Floats, Rows, RowsSite, generated, of_file, of_run
from tests.support.relay import Line, Relay

MODES: tuple[BoosterMode, ...] = ("histogram", "bagging", "cyclic", "collective")


@dataclass(frozen=True)
class Cost:
    """What a mode came to."""

    margin: Floats
    exchanges: int
    up: float  # bytes of one site, in the mean
    down: float
    seconds: float
    cpu_s: float


def study_of(rows: Rows, settings: BoosterPhase, seed: int) -> Study:
    """Describe a study whose trees read the rows as they are; its seed draws their columns."""
    classes = int(max(rows.pooled[1].max(), rows.test[1].max())) + 1
    phases = tuple(
        settings if p.name == "booster" else BackbonesPhase(views=1) if p.name == "backbones" else p
        for p in Study.model_fields["phases"].default
    )
    return Study(
        name="booster-modes",
        seed=seed,
        sites=tuple(rows.sites),
        quorum=len(rows.sites),
        labels=LabelSet(name="rows", classes=tuple(f"class {n}" for n in range(classes))),
        network=Network(h1=8, h2=4),
        phases=phases,
    )


def measured(rows: Rows, study: Study, folder: Path) -> Cost:
    """Let the coordinator's phase grow the study's booster."""
    fusion = fusion_arrays(build_fusion(study, rows.test[0].shape[1]))
    width = fusion["h1.weight"].shape[1]
    moments = {"mean": np.zeros(width, np.float32), "scale": np.ones(width, np.float32)}
    parts = {"constants": {}, "tails": {}, "fusion": fusion, "fusion-moments": moments}
    state = State((0, 0), {name: ModelPart.of(arrays) for name, arrays in parts.items()}, {})
    limits = Limits(booster=MODES, fewest_examples=0)
    with ExitStack() as open_:
        nodes, relays = {}, {}
        for site, own in rows.sites.items():
            place = folder / site
            config = SiteConfig(
                name=site, images=Images(manifest=place / "none"), state=place / "state",
                cache=Cache(folder=place / "cache"), numerics=Numerics(), limits=limits,
            )  # fmt: skip
            one = RowsSite(own, config, {study.digest: study})
            open_.callback(one.close)
            relays[site] = _Way()
            open_.enter_context(relays[site].relay)
            nodes[site] = relays[site].around(partial(handle, site=one))
        watch = open_.enter_context(PlainProgress(Console(file=io.StringIO(), width=200)))
        run = open_conduct(
            RunFolder(folder, "run"), study, "federated",
            partial(Rounds, LoopbackGrid(nodes), deadline_s=3600.0, poll_s=0.01), watch,
            lambda: state,
        )  # fmt: skip
        before = os.times()
        booster.run(run)
        after = os.times()
    events = [e for e in read_record(folder / "record.jsonl") if e["event"] == "exchange"]
    aside = [relay.relay.traffic for relay in relays.values()]
    rules = booster.rules_for(run)
    forest = forest_from_arrays(run.parts["booster"].arrays, rules)
    sites = len(rows.sites)
    return Cost(
        margins(forest, _bins(rows.test[0], study), rules),
        len(events),
        (sum(sum(e["bytes_up"].values()) for e in events) + sum(t.up for t in aside)) / sites,
        (sum(sum(e["bytes_down"].values()) for e in events) + sum(t.down for t in aside)) / sites,
        after.elapsed - before.elapsed,
        sum(after[:4]) - sum(before[:4]),
    )


class _Way:
    """Sends a member of a collective through a relay, which counts what it says and hears."""

    def __init__(self) -> None:
        self._port = 0
        self.relay = Relay(lambda: self._port, Line())

    def around(self, node: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        """Name the relay's port in the request to start, and hide that from the coordinator."""

        def carried(data: bytes) -> bytes:
            asked = decode_request(data)
            call = asked.ask.call if isinstance(asked.ask, CollectiveAsk) else None
            if call is None:
                return node(data)
            self._port = call.port
            there = call.model_copy(update={"port": self.relay.port})
            changed = replace(asked, ask=asked.ask.model_copy(update={"call": there}))
            head, body = split_head(node(encode_request(changed)))
            return with_head(encode_reply(replace(decode_reply(body), request=asked.digest)), head)

        return carried


def _bins(values: Floats, study: Study) -> NDArray[np.uint8]:
    grid = study.phase(BoosterPhase).grid
    return bin_features(values, log_grid(grid.lowest, grid.highest, grid.levels))


def pooled(
    rows: Rows, rules: Rules, rounds: int, *, bins: int = 256, study: Study | None = None
) -> Cost:
    """Train XGBoost on all rows, with the collective's draw.

    Args:
        rows: of all sites.
        rules: of the trees.
        rounds: of boosting.
        bins: of XGBoost's own, quantiles; 0: every value is a threshold.
        study: take its bins for the values; None: the values as they are.
    """
    (values, labels), (asked, _) = rows.pooled, rows.test
    parameters = xgb_parameters(rules, seed_for(rules.seed, "booster", "collective"))
    parameters |= {"max_bin": bins} if bins else {"tree_method": "exact"}
    if not bins:
        del parameters["max_bin"]
    if study is not None:
        values, asked = (_bins(one, study).astype(np.float32) for one in (values, asked))
    before = os.times()
    trained = xgboost.train(parameters, xgboost.DMatrix(values, labels, nthread=1), rounds)
    after = os.times()
    margin = trained.predict(xgboost.DMatrix(asked), output_margin=True)
    cpu_s = sum(after[:4]) - sum(before[:4])
    return Cost(margin, 0, 0, 0, after.elapsed - before.elapsed, cpu_s)


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
            return measured(rows, study, Path(folder))

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
