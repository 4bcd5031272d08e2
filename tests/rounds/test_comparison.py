"""A whole comparison on generated smears: what it computes, what it keeps, and what it says."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from client.site_config import Numerics
from common.study.schema import Study
from simulations.cli.main import main
from simulations.comparing.account import Comparison
from simulations.comparing.compare import Protocol, compare
from simulations.comparing.entrants import entrants
from simulations.comparing.progress import TrialsWatch
from simulations.prepare import Places
from simulations.scenario import load_scenario, load_variants
from tests.support.small_scenario import write_scenario

pytestmark = pytest.mark.slow
ARMS = ("federated", "wide", "linear_probe", "colour_only")
VIEWS = 2


class CountingWatch(TrialsWatch):
    """Adds up the views that passed the frozen fronts; may press Ctrl-C when a phase begins."""

    def __init__(self, out: io.StringIO, stop_at: str) -> None:
        super().__init__(Console(file=out, width=200))
        self.views = 0
        self.stop_at = stop_at

    def round(self, phase: str, round: int, of: int) -> None:
        if phase == self.stop_at:
            raise KeyboardInterrupt
        super().round(phase, round, of)

    def work(self, worker: str, done: int, of: int) -> None:
        self.views += of if done == of and worker.endswith("views") else 0
        super().work(worker, done, of)


@contextmanager
def fronts_counted() -> Iterator[Counter[int]]:
    """Count, by size of the batch, the calls of whole chains that are given images."""
    found: Counter[int] = Counter()

    def count(module: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        if type(module) is nn.Sequential and given[0].shape[1:] == (3, 64, 64):
            found[len(given[0])] += 1

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        yield found
    finally:
        hook.remove()


class Bench:
    """A folder with a scenario, in which comparisons are made."""

    def __init__(self, home: Path, faults: str = "") -> None:
        self.scenario = write_scenario(home, head_epochs=1)
        with self.scenario.open("a", encoding="utf-8") as file:
            file.write(faults)
        self.variants = home / "variants.yaml"
        self.variants.write_text("wide: {network: {h2: 16}}\n")
        self.numerics = home / "numerics.json"
        self.numerics.write_text(Numerics(threads=1).model_dump_json())
        self.out = home / "out"

    def compared(
        self, *arms: str, stop_at: str = "", **protocol: Any
    ) -> tuple[Comparison, int, str]:
        """Compare; return what came out, the views computed, and what was shown."""
        scenario, study = load_scenario(self.scenario)
        named = load_variants(self.scenario, study, self.variants)
        places = Places(None, None, self.out, self.out / "cache", numerics=self.numerics)
        shown = io.StringIO()
        with CountingWatch(shown, stop_at) as watch:
            found = compare(
                scenario, study, entrants(arms, study, named), places,
                Protocol(**{"folds": 2, **protocol}), watch,
            )  # fmt: skip
        return found, watch.views, shown.getvalue()

    def rows(self, run: str) -> list[dict[str, str]]:
        (path,) = self.out.glob(f"runs/{run}-*/manifest.csv")
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def predicted(self, run: str, arm: str) -> dict[str, dict[str, int]]:
        (path,) = self.out.glob(f"runs/{run}-*/arms/{arm}.json")
        found: dict[str, dict[str, int]] = json.loads(path.read_text())["predicted"]["test"]
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("comparison"))


@pytest.fixture(scope="module")
def first(bench: Bench) -> tuple[Comparison, int, str]:
    return bench.compared(*ARMS)


def test_every_image_is_tested_once_by_models_that_never_saw_its_group(
    bench: Bench, first: tuple[Comparison, int, str]
) -> None:
    tested: Counter[str] = Counter()
    for fold in (1, 2):
        rows = bench.rows(f"study-seed1-fold{fold}")
        parts: dict[str, set[str]] = {}
        for row in rows:
            parts.setdefault(row["patient"], set()).add(row["split"])
        assert all(len(found) == 1 for found in parts.values())
        tested.update(row["path"] for row in rows if row["split"] == "test")
        assert bench.rows(f"wide-seed1-fold{fold}") == rows
    assert set(tested.values()) == {1}
    assert len(tested) == first[0].images == len(bench.rows("study-seed1-fold1"))


def test_figures_are_scikit_learns_on_the_predictions_that_were_kept(
    bench: Bench, first: tuple[Comparison, int, str]
) -> None:
    classes = Study.model_validate(first[0].study).labels.classes
    for name, run, arm in (
        ("federated", "study", "federated"), ("wide", "wide", "federated"),
        ("colour_only", "study", "colour_only"),
    ):  # fmt: skip
        truth: list[str] = []
        taken: list[str] = []
        for fold in (1, 2):
            by_classifier = bench.predicted(f"{run}-seed1-fold{fold}", arm)
            found = by_classifier.get("booster") or by_classifier["probe"]
            label = {row["path"]: row["label"] for row in bench.rows(f"{run}-seed1-fold{fold}")}
            truth += [label[path] for path in found]
            taken += [classes[number] for number in found.values()]
        account = first[0].arms[name]
        assert account.macro_f1.mean == pytest.approx(f1_score(truth, taken, average="macro"))
        assert account.accuracy.mean == pytest.approx(accuracy_score(truth, taken))
        assert bool(account.softmax) == (name != "colour_only")
    pairs = {(one.a, one.b) for one in first[0].differences}
    assert len(pairs) == 6
    assert first[0].settings == {"wide": {"network.h2": "16"}}


def test_the_fronts_see_a_view_once_for_all_arms_folds_and_seeds(
    bench: Bench, first: tuple[Comparison, int, str]
) -> None:
    trained = {
        row["path"]
        for fold in (1, 2)
        for row in bench.rows(f"study-seed1-fold{fold}")
        if row["split"] == "train"
    }
    assert first[1] == first[0].images + (VIEWS - 1) * len(trained)
    with fronts_counted() as calls:
        more, views, _ = bench.compared(
            "linear_probe", "pooled", seeds=2, same_folds=True, only=(1,)
        )
    assert (views, calls[16]) == (0, 0)
    assert calls[1] > 0, "the chains are not seen by the hook"
    assert more.seeds == 2
    probe, pooled = more.arms["linear_probe"], more.arms["pooled"]
    assert probe.macro_f1.by_fold[0] == first[0].arms["linear_probe"].macro_f1.by_fold[0][:1]
    assert pooled.macro_f1.by_seed[0] != pooled.macro_f1.by_seed[1]


def test_a_second_command_computes_nothing_and_writes_the_same(
    bench: Bench, first: tuple[Comparison, int, str]
) -> None:
    again = CliRunner().invoke(
        main,
        ["compare", str(bench.scenario), "--variants", str(bench.variants), "--arms",
         ",".join(ARMS), "--folds", "2", "--out", str(bench.out)],
    )  # fmt: skip
    assert again.exit_code == 0, again.output
    assert "8 of 8 trials were made before." in again.output
    assert "not distinguishable" in again.output
    kept = Comparison.model_validate_json((bench.out / "compare.json").read_text())
    assert kept == first[0]
    assert not list(bench.out.glob("runs/*/checkpoints"))
    for ending in ("md", "html", "png", "svg"):
        assert (bench.out / f"compare.{ending}").stat().st_size > 1000
    assert "Synthetic images" in (bench.out / "compare.html").read_text()


def test_a_lost_trial_is_made_again_and_comes_out_the_same(
    bench: Bench, first: tuple[Comparison, int, str]
) -> None:
    (file,) = bench.out.glob("runs/study-seed1-fold2-*/arms/colour_only.json")
    before = json.loads(file.read_text())["predicted"]
    file.unlink()
    _, views, shown = bench.compared("colour_only")
    assert views == 0
    assert "1 of 2 trials were made before." in shown
    assert json.loads(file.read_text())["predicted"] == before


def test_an_interrupted_arm_goes_on_where_it_was(
    bench: Bench, first: tuple[Comparison, int, str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.compared("wide/pooled", only=(1,), stop_at="pooled: fusion")
    found, _, _ = bench.compared("wide/pooled", only=(1,))
    assert list(found.arms) == ["wide/pooled"]
    (record,) = bench.out.glob("runs/wide-seed1-fold1-*/record.jsonl")
    rounds = [
        (event["phase"], event["round"])
        for event in map(json.loads, record.read_text().splitlines())
        if event["event"] == "round" and event["run"].endswith(".pooled")
    ]
    assert len(rounds) == len(set(rounds)), "a round was held twice"
    assert ("fusion", 2) in rounds


def test_one_fold_on_validation_shows_no_test_image(
    bench: Bench, first: tuple[Comparison, int, str]
) -> None:
    found, _, _ = bench.compared("federated", "wide", only=(2,), part="validation")
    rows = bench.rows("study-seed1-fold2")
    assert found.images == sum(row["split"] == "validation" for row in rows)
    assert found.folds == (2,)
    assert len(found.arms["wide"].macro_f1.by_fold[0]) == 1


def test_sites_keep_their_scanner_and_their_wrong_labels_in_every_fold(
    bench: Bench, first: tuple[Comparison, int, str], tmp_path: Path
) -> None:
    """What is predicted is told under an image's own path, and held against its true label."""
    odd = Bench(tmp_path, "shifts: {north: {blur: 1.5}}\nlabel_noise: {south: {share: 0.5}}\n")
    found, _, _ = odd.compared("colour_only")
    plain = first[0].arms["colour_only"].macro_f1
    assert found.images == first[0].images
    assert found.arms["colour_only"].macro_f1.by_fold != plain.by_fold
    truth: list[str] = []
    taken: list[int] = []
    for fold in (1, 2):
        rows = odd.rows(f"study-seed1-fold{fold}")
        same = bench.rows(f"study-seed1-fold{fold}")
        assert [row["source"] for row in rows] == [row["path"] for row in same]
        assert {row["site"] for row in rows if row["path"].startswith("shift-")} == {"north"}
        wrong = [row for row in rows if row["label"] != row["true_label"]]
        assert {(row["site"], row["split"]) for row in wrong} == {("south", "train")}
        predicted = odd.predicted(f"study-seed1-fold{fold}", "colour_only")["probe"]
        label = {row["source"]: row["true_label"] for row in rows if row["split"] == "test"}
        assert set(predicted) == set(label)
        truth += [label[path] for path in predicted]
        taken += list(predicted.values())
    classes = Study.model_validate(found.study).labels.classes
    expected = f1_score(truth, [classes[number] for number in taken], average="macro")
    assert found.arms["colour_only"].macro_f1.mean == pytest.approx(expected)
