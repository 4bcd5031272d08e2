"""One site lies in every phase: each lie costs its reply, and the others' model is untouched."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from client.data.cache import ActivationCache
from client.site_config import Numerics
from common.initial_model import InitialModel
from common.metrics import model_arm
from common.model.initial import initial_model
from common.record import read_record
from common.study.schema import Study
from common.wire import Reply
from server.phases.evaluation import counts_by_site
from server.progress import PlainProgress
from server.run_folder import RunFolder
from simulations.arms import Arm, Trials
from simulations.engines.inprocess import Fault, LoopbackGrid
from simulations.engines.opened import Opened
from simulations.partition import partition, write_partition
from simulations.scenario import SyntheticData, load_scenario
from simulations.synthetic import write_dataset
from simulations.virtual_sites import VirtualSites
from tests.support.exchanges import changed
from tests.support.small_scenario import write_scenario

pytestmark = pytest.mark.slow
LIAR = "west"
Lie = Callable[[Reply], Reply]


def telling(**told: Any) -> Lie:
    return lambda reply: replace(reply, told=reply.told.model_copy(update=told))  # type: ignore[union-attr]


def sending(change: Callable[[np.ndarray[Any, Any]], Any]) -> Lie:
    return lambda reply: replace(reply, arrays={k: change(a) for k, a in reply.arrays.items()})


def one_row_more(sums: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Let one feature see something that the others did not."""
    changed = sums.copy()
    changed[:, 0, 0, 0] += 1
    return changed


def turned(reply: Reply) -> Reply:
    """Swap truth and prediction in the confusion: each sum stays, the scores disagree."""
    return replace(
        reply,
        arrays={k: a.T.copy() if k == "booster/confusion" else a for k, a in reply.arrays.items()},
    )


LIES: dict[str, dict[str, Lie]] = {
    "numbers": {
        "moments": telling(examples=2**23),
        "fit": telling(examples=2**23),
        "booster": telling(examples=2**23),
        "calibration": sending(lambda a: a - 2**62),
        "evaluation": telling(examples=2**23),
    },
    "arrays": {
        "moments": sending(lambda a: a + 2**60),
        "fit": sending(lambda a: (a * 20).astype(np.float16)),  # further than AdamW can go
        "booster": sending(lambda a: a * 10**6),
        "calibration": sending(lambda a: a * 10**9),
        "evaluation": sending(lambda a: -a),
    },
    "contradictions": {
        "moments": sending(lambda a: -a),
        "fit": telling(validation_correct=2**40),
        "booster": sending(one_row_more),
        "calibration": sending(lambda a: a[:-1]),
        "evaluation": turned,
    },
}


def liar(lies: dict[str, Lie]) -> Fault:
    def fault(data: bytes) -> bytes:
        return changed(data, lie)

    def lie(reply: Reply) -> Reply:
        told = lies.get(reply.told.kind) if reply.told else None
        return reply if told is None else told(reply)

    return fault


class Federation:
    """Three virtual sites, one of which may lie, and a coordinator."""

    def __init__(self, home: Path) -> None:
        scenario, self.study = load_scenario(write_scenario(home))
        assert isinstance(scenario.data, SyntheticData)
        manifest = write_dataset(home / "smears", scenario.data.settings)
        rows = partition(manifest, scenario.partition, self.study.seed, self.study.sites)
        write_partition(rows, home / "manifest.csv")
        self.home, self.images = home, manifest.parent
        self.cache = ActivationCache(home / "cache", 10**9)

    def train(self, name: str, study: Study, faults: dict[str, Fault]) -> "Outcome":
        folder = self.home / name
        virtual = VirtualSites(
            folder, self.home / "manifest.csv", self.images, None, self.cache, Numerics(),
            lambda *work: None,
        )  # fmt: skip
        initial: InitialModel = initial_model(study, virtual.branches(study, None))
        sites = {site: virtual.site(site, [study]) for site in study.sites}
        nodes = virtual.nodes(sites)
        watch = PlainProgress(Console(file=io.StringIO()))
        engine = Opened(LoopbackGrid(nodes, faults), sites.__getitem__, poll_s=0.01)
        trials = Trials(RunFolder(folder, "run"), engine, initial, watch)
        arm = Arm("federated", study)
        conduct = trials.train(arm)
        evaluated = trials.evaluate(study, arm, conduct)
        return Outcome(folder, conduct.parts, counts_by_site(evaluated, "test"))


class Outcome:
    def __init__(self, folder: Path, parts: Any, counts: Any) -> None:
        self.parts, self.counts = parts, counts
        self.events = read_record(folder / "record.jsonl")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return Federation(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("kind", LIES)
def test_every_lie_is_rejected_and_costs_only_the_liar(federation: Federation, kind: str) -> None:
    lied = federation.train(kind, federation.study, {LIAR: liar(LIES[kind])})
    rejected = {(e["site"], e["phase"]) for e in lied.events if e["event"] == "rejected"}
    assert rejected == {
        (LIAR, phase) for phase in ("backbones", "fusion", "booster", "calibration", "evaluation")
    }
    assert not [e for e in lied.events if e["event"] in ("missing", "refused", "stopped")]
    assert set(lied.counts) == {"north", "south"}
    booster, softmax = (
        lied.counts["north"][name] + lied.counts["south"][name] for name in ("booster", "softmax")
    )
    arm = model_arm(booster, softmax, federation.study.labels.classes)
    assert arm.examples == 16  # one patient of each class at each honest site, two images each


def test_the_honest_sites_end_with_the_model_of_a_study_without_the_liar(
    federation: Federation,
) -> None:
    lied = federation.train("with", federation.study, {LIAR: liar(LIES["arrays"])})
    without = federation.study.model_copy(update={"sites": ("north", "south")})
    alone = federation.train("without", without, {})
    for part in ("tails", "heads", "moments", "fusion", "fusion-moments", "booster"):
        assert lied.parts[part].digest == alone.parts[part].digest, part
