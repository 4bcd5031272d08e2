"""What `booster_modes.py` compares: a phase among the sites of one process, and pooled XGBoost."""

import io
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray
from rich.console import Console

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
from tests.support.booster_rows import Floats, Rows, RowsSite
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


def grown(rows: Rows, study: Study, folder: Path) -> Cost:
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
    del parameters["max_bin"]
    parameters |= {"max_bin": bins} if bins else {"tree_method": "exact"}
    if study is not None:
        values, asked = (_bins(one, study).astype(np.float32) for one in (values, asked))
    before = os.times()
    trained = xgboost.train(parameters, xgboost.DMatrix(values, labels, nthread=1), rounds)
    after = os.times()
    margin = trained.predict(xgboost.DMatrix(asked), output_margin=True)
    cpu_s = sum(after[:4]) - sum(before[:4])
    return Cost(margin, 0, 0, 0, after.elapsed - before.elapsed, cpu_s)
