"""The whole line on a small scenario: what a run leaves, against independent readings of it."""

import csv
import io
import json
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xgboost
from click.testing import CliRunner
from rich.console import Console
from safetensors.numpy import load_file
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from client.cli.main import main as site_command
from client.egress.log import EgressLog
from common.digests import digest_arrays
from common.metrics import RunMetrics, load_metrics
from common.parts import by_part
from common.record import read_record
from common.release import SUMS, read_release, write_release
from common.study.schema import load_study
from server.progress import PlainProgress
from server.run_folder import RunFolder
from tests.support.small_scenario import PHASES, SITES, run_small, write_scenario

pytestmark = pytest.mark.slow
ARMS = ("federated", "local_only", "pooled", "linear_probe", "colour_only")


@dataclass(frozen=True)
class Finished:
    folder: RunFolder
    home: Path
    scenario: Path
    shown: str

    @property
    def metrics(self) -> RunMetrics:
        return load_metrics(self.folder.path / "metrics.json")

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder.path / "manifest.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @property
    def images(self) -> Path:
        (folder,) = (self.home / "cache").glob("smears-*")
        return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    home = tmp_path_factory.mktemp("simulation")
    scenario = write_scenario(home, *ARMS)
    out = io.StringIO()
    with PlainProgress(Console(file=out, width=200)) as watch:
        folder = run_small(scenario, home, watch)
    return Finished(folder, home, scenario, out.getvalue())


class StoppedAtTheEnd(PlainProgress):
    """Ctrl-C, when nothing is left but the release."""

    def phase(self, name: str, rounds_total: int) -> None:
        if name == "release":
            raise KeyboardInterrupt
        super().phase(name, rounds_total)


def predicted(finished: Finished, out: Path, *paths: Path) -> list[dict[str, str]]:
    bundle = finished.folder.path / "release.zip"
    done = CliRunner().invoke(
        site_command, ["predict", "--release", str(bundle), "--out", str(out), *map(str, paths)]
    )
    assert done.exit_code == 0, done.output
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_that_is_promised_is_there(finished: Finished) -> None:
    path = finished.folder.path
    for name in ("report.html", "metrics.json", "record.jsonl", "checkpoints", "release"):
        assert (path / name).exists()
    assert (path.parent / "latest").resolve() == path.resolve()
    assert set(finished.metrics.arms.local_only) == set(SITES)


def test_the_digest_of_the_study_stands_in_every_line_of_the_federated_run(
    finished: Finished,
) -> None:
    digest = load_study(finished.folder.path / "study.yaml").digest
    assert finished.metrics.study_digest == digest
    lines = read_record(finished.folder.path / "record.jsonl")
    assert all(re.fullmatch("[0-9a-f]{64}", line["study"]) for line in lines)
    ours = [line for line in lines if ".federated" in line["run"]]
    assert {line["study"] for line in ours} == {digest}
    rounds = {line["phase"] for line in ours if line["event"] == "round"}
    assert rounds == set(PHASES)


def test_predictions_of_the_release_are_those_that_the_sites_counted(
    finished: Finished, tmp_path: Path
) -> None:
    """The sites counted with our trees; the release predicts with xgboost's own."""
    truth = {
        str(finished.images / row["path"]): row["label"]
        for row in finished.rows
        if row["split"] == "test"
    }
    rows = predicted(finished, tmp_path / "found.csv", *map(Path, truth))
    classes = list(finished.metrics.classes)
    expected, found = [truth[row["path"]] for row in rows], [row["class"] for row in rows]
    arm = finished.metrics.arms.federated
    assert confusion_matrix(expected, found, labels=classes).tolist() == [
        list(row) for row in arm.confusion
    ]
    assert arm.accuracy == pytest.approx(accuracy_score(expected, found))
    assert arm.macro_f1 == pytest.approx(
        f1_score(expected, found, average="macro", zero_division=0)
    )
    shares = np.array([[float(row[name]) for name in classes] for row in rows])
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    at = [classes.index(name) for name in expected]
    log_loss = -np.log(shares[np.arange(len(rows)), at]).mean()
    assert arm.log_loss == pytest.approx(log_loss, rel=1e-3)


def test_an_image_that_is_named_twice_is_told_twice(finished: Finished, tmp_path: Path) -> None:
    path = finished.images / finished.rows[0]["path"]
    first, second = predicted(finished, tmp_path / "found.csv", path, path)
    assert first == second
    assert first["class"]


def test_unreadable_images_are_named_and_stop_nothing(finished: Finished, tmp_path: Path) -> None:
    sound = finished.images / finished.rows[0]["path"]
    torn, text = tmp_path / "torn.png", tmp_path / "text.jpg"
    torn.write_bytes(sound.read_bytes()[:900])
    text.write_text("no image")
    rows = predicted(finished, tmp_path / "found.csv", torn, sound, text)
    assert [bool(row["reason"]) for row in rows] == [True, False, True]
    assert rows[1]["class"] in finished.metrics.classes
    assert "cannot be decoded" in rows[0]["reason"]


def test_a_changed_release_predicts_nothing(finished: Finished, tmp_path: Path) -> None:
    bundle = tmp_path / "release"
    bundle.mkdir()
    for file in (finished.folder.path / "release").iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    with (bundle / "booster.ubj").open("ab") as booster:
        booster.write(b"\x00")
    out = tmp_path / "found.csv"
    done = CliRunner().invoke(
        site_command,
        ["predict", "--release", str(bundle), "--out", str(out), str(finished.images)],
    )
    assert done.exit_code == 1
    assert "booster.ubj is changed" in done.output
    assert "To fix: get the release again" in done.output
    assert not out.exists()


def test_a_rehearsals_release_is_warned_of(finished: Finished, tmp_path: Path) -> None:
    release = read_release(finished.folder.path / "release")
    marked = replace(release, metrics={**release.metrics, "rehearsal": True})
    write_release(tmp_path / "rehearsal", marked)
    image = next(iter(sorted(finished.images.rglob("*.png"))))
    own = finished.folder.path / "release"
    for bundle, is_warned in ((tmp_path / "rehearsal", True), (own, False)):
        words = ["predict", "--release", str(bundle), "--out", str(tmp_path / "found.csv")]
        done = CliRunner().invoke(site_command, [*words, str(image)])
        assert done.exit_code == 0, done.output
        assert ("this release is of a rehearsal" in done.stderr) == is_warned


def test_the_release_holds_the_model_of_the_metrics(finished: Finished) -> None:
    release = read_release(finished.folder.path / "release")
    parts = by_part(release.backbones) | by_part(release.fusion)
    digests = finished.metrics.digests
    for part in ("constants", "tails", "heads", "moments", "fusion", "fusion-moments"):
        assert digest_arrays(parts[part]) == digests[part]
    booster = xgboost.Booster()
    booster.load_model(bytearray(release.booster))
    settings = next(p for p in release.study.phases if p.name == "booster")
    trees = settings.rounds * settings.parallel_trees * len(release.classes)
    assert len(booster.get_dump()) == trees
    assert (finished.folder.path / "release" / SUMS).is_file()
    assert "For research only" in release.card


def test_training_changed_what_it_should_and_nothing_else(finished: Finished) -> None:
    initial = load_file(finished.folder.path / "initial.safetensors")
    release = read_release(finished.folder.path / "release")
    for key, array in initial.items():
        part = key.partition("/")[0]
        after = (release.fusion if part == "fusion" else release.backbones)[key]
        changed = not np.array_equal(array, after)
        assert changed == (part != "constants"), key


def test_only_differences_sums_and_counts_left_a_site(finished: Finished) -> None:
    log = list(EgressLog(finished.folder.path / "sites" / "north" / "egress.jsonl"))
    assert {line.status for line in log} == {"done"}
    kinds: dict[str, set[str]] = {}
    for line in log:
        kinds.setdefault(line.ask, set()).update(line.dtypes)
    assert kinds == {
        "census": set(), "moments": {"int64"}, "fit": {"float16"}, "booster": {"int64"},
        "calibration": {"int64"}, "evaluation": {"int64"},
    }  # fmt: skip
    up = finished.metrics.bytes_up
    federated = [line for line in log if ".federated" in line.run]
    heads = 44 * len(federated)  # bytes: a head of the log goes before every reply
    assert sum(line.bytes for line in federated) + heads == sum(up[p]["north"] for p in up)


@pytest.mark.parametrize("site", SITES)
def test_every_head_in_the_record_stands_in_the_log_of_its_site(
    finished: Finished, site: str
) -> None:
    log = (finished.folder.path / "sites" / site / "egress.jsonl").read_bytes().splitlines()
    record = read_record(finished.folder.path / "release" / "record.jsonl")
    told = [line["log_heads"][site] for line in record if site in line.get("log_heads", {})]
    assert len(told) > len(PHASES)
    for head in told:
        assert sha256(log[head["lines"] - 1]).hexdigest() == head["digest"]
    done = CliRunner().invoke(
        site_command,
        ["log", "--site-file", str(finished.folder.path / "sites" / site / "site.yaml"),
         "--verify", "--record", str(finished.folder.path / "release" / "record.jsonl")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"{len(log)} lines, chain intact" in done.output
    assert f"all {len(told)} heads" in done.output


def test_a_site_tells_no_path_and_no_patient(finished: Finished) -> None:
    for site in SITES:
        folder = finished.folder.path / "sites" / site
        for line in EgressLog(folder / "egress.jsonl"):
            told = json.dumps(line.told)
            assert f"{site}-0" not in told  # how the generator names patients and files
            assert ".png" not in told


def test_all_arms_are_measured_on_the_same_images(finished: Finished) -> None:
    arms = finished.metrics.arms
    wanted = [sum(row["label"] == name for row in finished.rows if row["split"] == "test")
              for name in finished.metrics.classes]  # fmt: skip
    scores = [arms.federated, arms.federated.softmax, arms.pooled, arms.linear_probe,
              arms.colour_only, *arms.local_only.values()]  # fmt: skip
    for one in scores:
        assert one is not None
        assert [sum(row) for row in one.confusion] == wanted
        for name in ("accuracy", "macro_f1"):
            low, high = getattr(one.interval, name)
            assert low <= high
    assert set(finished.metrics.gains) == {"pooled", "linear_probe", "colour_only"}
    assert set(finished.metrics.per_site) == set(SITES)


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_says_that_images_were_generated_and_shows_the_figures(
    finished: Finished,
) -> None:
    page = Text()
    page.feed(finished.folder.report.read_text(encoding="utf-8"))
    text = " ".join(" ".join(page.words).split())
    assert "trained and tested on generated images" in text
    assert f"{finished.metrics.arms.federated.macro_f1:.3f}" in text
    assert finished.metrics.study_digest in text


def test_the_same_command_after_the_end_starts_a_new_run(finished: Finished) -> None:
    out = io.StringIO()
    only = write_scenario(finished.home / "again", "federated")
    with PlainProgress(Console(file=out, width=200)) as watch:
        first = run_small(only, finished.home / "again", watch, cache=finished.home / "cache")
        second = run_small(only, finished.home / "again", watch, cache=finished.home / "cache")
    assert first.path != second.path
    digests = [load_metrics(f.path / "metrics.json").digests for f in (first, second)]
    assert digests[0] == digests[1]


def test_other_arms_beside_it_do_not_change_the_federated_model(finished: Finished) -> None:
    home = finished.home / "alone"
    with PlainProgress(Console(file=io.StringIO())) as watch:
        alone = run_small(write_scenario(home), home, watch, cache=finished.home / "cache")
    assert load_metrics(alone.path / "metrics.json").digests == finished.metrics.digests


def test_a_damaged_checkpoint_is_passed_over_and_the_model_is_the_same(
    finished: Finished,
) -> None:
    home = finished.home / "damaged"
    scenario, cache = write_scenario(home), finished.home / "cache"
    with (
        pytest.raises(KeyboardInterrupt),
        StoppedAtTheEnd(Console(file=io.StringIO())) as watch,
    ):
        run_small(scenario, home, watch, cache=cache)
    first = (home / "runs" / "latest").resolve()
    newest = sorted((first / "checkpoints" / "federated").glob("*.json"))[-1]
    newest.write_bytes(newest.read_bytes()[:-40])
    out = io.StringIO()
    with PlainProgress(Console(file=out, width=200)) as resumed:
        again = run_small(scenario, home, resumed, cache=cache)
    assert again.path == first
    assert f"checkpoint {newest.name} is skipped" in out.getvalue()
    after = load_metrics(again.path / "metrics.json")
    assert after.digests == finished.metrics.digests
    assert after.arms.federated == finished.metrics.arms.federated


def test_a_finished_run_keeps_one_checkpoint(finished: Finished) -> None:
    (folder,) = (finished.folder.path / "checkpoints").iterdir()
    assert folder.name == "federated"
    assert len(list(folder.glob("*.json"))) == 1


def test_progress_names_arms_phases_and_sites(finished: Finished) -> None:
    assert "federated: backbones, round 1 of 2: 3 of 3 sites in " in finished.shown
    assert "pooled: fusion, round 2 of 2: 1 of 1 sites in " in finished.shown


def test_metrics_survive_a_round_trip(finished: Finished) -> None:
    metrics = finished.metrics
    assert RunMetrics.model_validate_json(metrics.model_dump_json()) == metrics
