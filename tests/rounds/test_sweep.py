"""A sweep over the small scenario, against the ordinary run of the study that it chooses."""

import csv
import io
import json
import multiprocessing
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import JsonValue
from rich.console import Console

from client.data.shelf import keys_of, shelves_below
from client.site_config import Numerics
from common.digests import digest_file
from common.metrics import load_metrics
from common.record import read_record
from server.progress import PlainProgress
from simulations.cli.main import main as sim_command
from simulations.prepare import Places
from simulations.scenario import Scenario, load_scenario
from simulations.sweep.fields import varied
from simulations.sweep.runner import _beside, _work, run_tasks
from simulations.sweep.trial import Task
from tests.support.small_scenario import write_scenario

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Swept:
    home: Path

    @property
    def out(self) -> Path:
        return self.home / "out"

    def sweep(self, *more: str, over: str = "phases.booster.eta=0.3,0.6") -> str:
        done = CliRunner().invoke(
            sim_command,
            ["sweep", str(self.home / "small.yaml"), "--over", over, "--out", str(self.out),
             "--numerics", str(self.home / "numerics.json"), *more],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        return done.output

    def task(
        self, folder: Path, field: str, value: JsonValue
    ) -> tuple[Scenario, Task, Places, Path]:
        """Make what a trial is given, with the cache of the sweep."""
        scenario, study = load_scenario(self.home / "small.yaml")
        places = Places(
            None, None, folder, self.out / "cache", numerics=self.home / "numerics.json"
        )
        (smears,) = places.cache.glob("smears-*")
        task = Task(varied(study, {field: value})[0], folder / "trial", "trial 1 of 1")
        return scenario, task, places, smears / "manifest.csv"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    home = tmp_path_factory.mktemp("sweep")
    scenario = write_scenario(home)
    scenario.write_text(f"{scenario.read_text()}exports: [csv]\n", encoding="utf-8")
    (home / "numerics.json").write_text(Numerics(threads=1).model_dump_json(), encoding="utf-8")
    return Swept(home)


def test_halving_then_final(swept: Swept) -> None:
    shown = swept.sweep("--halving")
    assert "No site was asked about its test images" in shown
    assert "2 studies with 1/2 of the rounds: 1 go on" in shown
    folders = sorted((swept.out / "trials").iterdir())
    assert len(folders) == 3
    for folder in folders:
        _see_that_no_test_image_was_used(folder)
        names = {path.name for path in folder.iterdir()}
        assert names == {
            "validation.json", "record.jsonl", "study.yaml", "manifest.csv", "numerics.json"
        }  # fmt: skip
    assert not {path.name for path in swept.out.rglob("*")} & {"metrics.json", "report.html"}
    _see_that_no_test_image_was_passed_through_a_network(folders[0], swept.out / "cache")

    # The same again costs nothing, and other values only their own trials.
    times = {f.name: (f / "record.jsonl").stat().st_mtime_ns for f in folders}
    assert "2 of 2 trials were done before." in swept.sweep("--halving")
    assert times == {f.name: (f / "record.jsonl").stat().st_mtime_ns for f in folders}

    shown = swept.sweep("--halving", "--final")
    document = json.loads((swept.out / "sweep.json").read_text())
    best = document["trials"][0]
    (ledger,) = json.loads((swept.out / "final" / "finals.json").read_text())
    assert ledger["study"] == best["study"]
    run = swept.out / "final" / ledger["run"]
    metrics = load_metrics(run / "metrics.json")
    ours = metrics.arms.federated
    assert ours.validation is not None
    assert best["macro_f1"] == ours.validation.macro_f1  # the trial was the ordinary run
    assert best["examples"] == ours.validation.examples
    assert f"{ours.macro_f1:.4f}" in shown
    assert (run / "exports" / "csv" / run.name / "scores.csv").is_file()

    # What was tested is shown again, and not tested again.
    assert swept.sweep("--halving", "--final").splitlines()[-1] == shown.splitlines()[-1]
    assert len(list((swept.out / "final").glob("small-*"))) == 1


def test_a_trial_in_a_process_of_its_own_scores_as_it_did_in_this(
    swept: Swept, tmp_path: Path
) -> None:
    here = json.loads((swept.out / "sweep.json").read_text())["trials"][0]
    scenario, task, places, manifest = swept.task(
        tmp_path, "phases.booster.eta", here["phases.booster.eta"]
    )
    with PlainProgress(Console(file=io.StringIO())) as watch:
        (outcome,) = _beside(scenario, [task], places, manifest, 1, watch)
    assert outcome.problem == ""
    assert outcome.score is not None
    found = outcome.score.model_dump(exclude={"seconds"})
    assert found == {name: here[name] for name in found}
    assert (task.folder / "log.txt").is_file()


def test_a_trial_that_fails_says_why(swept: Swept, tmp_path: Path) -> None:
    given = swept.task(tmp_path, "network.backbones.0.cut", "absent")
    scenario, task, places, manifest = given
    reader, writer = multiprocessing.Pipe(duplex=False)
    before = signal.getsignal(signal.SIGINT)
    try:
        _work(scenario, task, places, manifest, writer)
    finally:
        signal.signal(signal.SIGINT, before)
    with reader:
        problem = reader.recv()
    assert "absent" in problem
    assert problem in (task.folder / "log.txt").read_text(encoding="utf-8")
    with PlainProgress(Console(file=io.StringIO())) as watch:
        assert run_tasks(scenario, [task], places, manifest, 2, watch)[0].problem == problem


def _see_that_no_test_image_was_used(folder: Path) -> None:
    asked = [e for e in read_record(folder / "record.jsonl") if e["event"] == "exchange"]
    evaluated = [event for event in asked if event["phase"] == "evaluation"]
    assert [event["exchange"] for event in evaluated] == [1]  # 0 would be the test part
    told = (folder / "validation.json").read_text()
    assert "test" not in told


def _see_that_no_test_image_was_passed_through_a_network(folder: Path, cache: Path) -> None:
    (smears,) = cache.glob("smears-*")
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    digests = {
        part: {digest_file(smears / row["path"])[:32] for row in rows if row["split"] == part}
        for part in ("validation", "test")
    }
    keys = {key[:32] for shelf in shelves_below(cache) for key in keys_of(shelf)}
    assert digests["validation"] <= keys
    assert not digests["test"] & keys
