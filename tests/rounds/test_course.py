"""A coordinator runs a study alone: to the bench's bits, from any checkpoint, without torch."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from client.data.cache import ActivationCache
from client.site_config import Numerics
from common.errors import CorruptFile
from common.initial_model import read_initial
from common.metrics import RunMetrics, load_metrics
from common.record import read_record
from common.release import SUMS, verify_release
from common.study.schema import load_study
from server.course import run_study
from server.progress import PlainProgress
from server.rounds import Rounds
from server.run_folder import RunFolder, open_run
from simulations.engines.inprocess import LoopbackGrid
from simulations.virtual_sites import VirtualSites
from tests.support.small_scenario import PHASES, SITES, run_small, write_scenario

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BITWISE = ("backbones.safetensors", "fusion.safetensors", "booster.ubj", "study.yaml")
# Replies tell the seconds they took, and a coordinator that starts again sends all parts again.
NOISE = {"seconds", "seconds_total", "arm_seconds", "bytes_up", "bytes_down", "environment"}


class StoppedAt(PlainProgress):
    """Ctrl-C at the beginning of a phase."""

    def __init__(self, phase: str = "") -> None:
        self.shown = io.StringIO()
        super().__init__(Console(file=self.shown, width=200))
        self._stop = phase

    def phase(self, name: str, rounds_total: int) -> None:
        if name == self._stop:
            raise KeyboardInterrupt
        super().phase(name, rounds_total)


@dataclass(frozen=True)
class Trial:
    """A simulation that ended, and the way to its sites for a coordinator that begins anew."""

    simulated: Path
    home: Path
    grid: LoopbackGrid

    def run(self, folder: RunFolder, watch: StoppedAt, fronts: Path | None = None) -> None:
        study = load_study(self.simulated / "study.yaml")
        run_study(
            study,
            read_initial(self.simulated / "initial.safetensors", study.initial_model),
            fronts or self.simulated / "fronts.safetensors",
            folder,
            partial(Rounds, self.grid, deadline_s=60.0),
            watch,
            synthetic=True,
        )


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    home = tmp_path_factory.mktemp("course")
    simulated = run_small(write_scenario(home), home, StoppedAt()).path
    (images,) = (home / "cache").glob("smears-*")
    virtual = VirtualSites(
        home / "hospitals", simulated / "manifest.csv", images, None,
        ActivationCache(home / "cache", 10**9), Numerics(threads=1), lambda *work: None,
    )  # fmt: skip
    study = load_study(simulated / "study.yaml")
    nodes = virtual.nodes({site: virtual.site(site, [study]) for site in study.sites})
    return Trial(simulated, home, LoopbackGrid(nodes))


@pytest.fixture(scope="module")
def unreleased(trial: Trial) -> RunFolder:
    """A coordinator's run, stopped twice: in the middle, and before its release."""
    study = load_study(trial.simulated / "study.yaml")
    opened: Callable[[], tuple[RunFolder, bool]] = partial(
        open_run, trial.home / "coordinator", study.name, study.digest, fresh=False
    )
    for phase, resumed in (("booster", False), ("release", True)):
        folder, is_resumed = opened()
        assert is_resumed == resumed
        with StoppedAt(phase) as watch, pytest.raises(KeyboardInterrupt):
            trial.run(folder, watch)
    return folder


@pytest.fixture(scope="module")
def released(trial: Trial, unreleased: RunFolder) -> RunFolder:
    """The same run, taken up again where the sites are."""
    path = shutil.copytree(unreleased.path, trial.home / "released")
    folder = RunFolder(path, unreleased.run)
    with StoppedAt() as watch:
        trial.run(folder, watch)
    return folder


def sums(path: Path) -> dict[str, str]:
    verify_release(path / "release")
    verify_release(path / "release.zip")
    lines = (path / "release" / SUMS).read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def figures(path: Path) -> dict[str, object]:
    return load_metrics(path / "metrics.json").model_dump(exclude=NOISE)


def test_a_coordinator_alone_ends_with_the_bits_of_the_simulation(
    trial: Trial, released: RunFolder
) -> None:
    ours, theirs = sums(released.path), sums(trial.simulated)
    assert {name: ours[name] for name in BITWISE} == {name: theirs[name] for name in BITWISE}
    # Only a simulation makes its sites.
    assert figures(released.path) == {**figures(trial.simulated), "partition": None}


def test_its_folder_is_laid_out_as_that_of_a_simulation(trial: Trial, released: RunFolder) -> None:
    ours = {path.name for path in released.path.iterdir()}
    theirs = {path.name for path in trial.simulated.iterdir()}
    assert theirs - ours == {
        "initial.safetensors", "fronts.safetensors", "manifest.csv", "partition.csv",
        "numerics.json", "sites",
    }  # fmt: skip
    assert ours <= theirs
    (checkpoints,) = (released.path / "checkpoints").iterdir()
    assert checkpoints.name == "federated"
    assert len(list(checkpoints.glob("*.json"))) == 1
    assert released.finished
    lines = read_record(released.path / "record.jsonl")
    assert {line["run"] for line in lines} == {f"{released.run}.federated"}
    rounds = [(line["phase"], line["round"]) for line in lines if line["event"] == "round"]
    assert len(rounds) == len(set(rounds))  # none was run twice
    assert {phase for phase, _ in rounds} == set(PHASES)


def test_metrics_tell_of_the_sites_machines_beside_the_coordinators(
    trial: Trial, released: RunFolder
) -> None:
    metrics: RunMetrics = load_metrics(released.path / "metrics.json")
    environment = metrics.environment
    assert {"python", "processor", "system", "leukofed", "numpy", "flwr", "xgboost"} == (
        set(environment) - {"sites"}
    )
    sites = environment["sites"]
    assert isinstance(sites, dict)
    assert set(sites) == set(SITES)
    record = read_record(released.path / "record.jsonl")
    (census,) = (line["census"] for line in record if "census" in line)
    for site, told in census.items():
        assert sites[site] == {name: told[name] for name in ("software", "numerics")}
    simulated = load_metrics(trial.simulated / "metrics.json").environment
    assert simulated["sites"] == sites
    assert simulated["precision"] == "float32"
    assert simulated["torch"]
    assert (metrics.gains, metrics.arm_seconds, metrics.arms.local_only) == ({}, {}, {})
    assert metrics.name == "small"
    assert "No baselines were run" in released.report.read_text(encoding="utf-8")


def test_a_run_that_has_finished_is_left_as_it_is(trial: Trial, released: RunFolder) -> None:
    before = sums(released.path)
    newest = (released.path / "metrics.json").stat().st_mtime_ns
    with StoppedAt() as watch:
        trial.run(released, watch)
    assert "This run has finished" in watch.shown.getvalue()
    assert sums(released.path) == before
    assert (released.path / "metrics.json").stat().st_mtime_ns == newest


def test_fronts_of_another_model_are_told_before_anyone_is_asked(trial: Trial) -> None:
    folder, _ = open_run(trial.home / "other", "small", "i", fresh=True)
    other = trial.simulated / "initial.safetensors"
    with StoppedAt() as watch, pytest.raises(CorruptFile, match="not those that the initial"):
        trial.run(folder, watch, fronts=other)
    assert not (folder.path / "record.jsonl").exists()


def test_a_machine_without_torch_finishes_what_remains(
    trial: Trial, unreleased: RunFolder, released: RunFolder, tmp_path: Path
) -> None:
    path = shutil.copytree(unreleased.path, tmp_path / "run")
    for name in ("metrics.json", "report.html"):
        (path / name).unlink()
    for name in ("initial.safetensors", "fronts.safetensors"):
        shutil.copy(trial.simulated / name, path / name)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.finished", str(path), unreleased.run],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""  # nothing that must be absent was there
    found, expected = sums(path), sums(released.path)
    changing = {"metrics.json"}  # seconds
    assert {n: d for n, d in found.items() if n not in changing} == {
        n: d for n, d in expected.items() if n not in changing
    }
    assert figures(path) == figures(released.path)
    assert json.loads((path / "run.json").read_bytes())["finished"] is True
    assert "No baselines were run" in (path / "report.html").read_text(encoding="utf-8")
