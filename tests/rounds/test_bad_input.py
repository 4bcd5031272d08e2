"""What a researcher can get wrong: one clear error with its remedy, or a counted skip."""

import csv
import io
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from common.metrics import load_metrics
from server.progress import PlainProgress
from simulations.cli.main import main
from simulations.prepare import Places
from simulations.run import simulate
from simulations.scenario import SyntheticData, load_scenario
from simulations.synthetic import write_dataset
from tests.support.small_scenario import write_scenario

Rows = list[dict[str, str]]
_OWN = """\
data:
  kind: manifest
  needs: the smears of this test
partition:
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the small scenario's smears once, as a dataset that a researcher has."""
    home = tmp_path_factory.mktemp("dataset")
    scenario, _ = load_scenario(write_scenario(home))
    assert isinstance(scenario.data, SyntheticData)
    return write_dataset(home / "smears", scenario.data.settings).parent


@pytest.fixture
def data(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "data"))


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """The small scenario, reading that dataset."""
    path = write_scenario(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.index("data:")] + _OWN + text.partition("partition:\n")[2])
    return path


def change(data: Path, to: str, **where: str) -> None:
    """Write the manifest anew, with one cell of one row changed."""
    manifest = data / "manifest.csv"
    with manifest.open(newline="") as file:
        rows: Rows = list(csv.DictReader(file))
    ((column, old),) = where.items()
    row = next(row for row in rows if row[column] == old)
    row[column] = to
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run(scenario: Path | str, data: Path | None = None, *options: object) -> Result:
    arguments = ["run", str(scenario), *map(str, options)]
    return CliRunner().invoke(main, arguments + (["--data", str(data)] if data else []))


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)  # no traceback
    shown = " ".join(result.output.split())
    for text in (*words, "To fix:"):
        assert text in shown, result.output


def test_a_dataset_that_was_not_given_is_described(scenario: Path, tmp_path: Path) -> None:
    refused(
        run(scenario, None, "--out", tmp_path / "runs"),
        "scenario small needs a dataset", "give --data DIR: the smears of this test",
    )  # fmt: skip


def test_a_folder_without_its_manifest_is_named(scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(
        run(scenario, tmp_path / "empty", "--out", tmp_path / "runs"),
        "there is no manifest.csv in the folder given by --data", str(tmp_path / "empty"),
    )  # fmt: skip


def test_two_faults_of_a_scenario_come_together_with_their_lines(
    scenario: Path, data: Path, tmp_path: Path
) -> None:
    text = scenario.read_text().replace("size: 64", "size: 8, colour: red")
    scenario.write_text(text)
    line = next(n for n, one in enumerate(text.splitlines(), 1) if "colour" in one)
    refused(
        run(scenario, data, "--out", tmp_path / "runs"),
        "has 2 faults", f"line {line}: settings.imaging.size:",
        f"line {line}: settings.imaging.colour: Extra inputs",
    )  # fmt: skip


def test_missing_weights_say_where_they_must_be(data: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    refused(
        run("taleqani-3-sites", data, "--weights", tmp_path / "weights", "--out", tmp_path),
        "imagenet weights of inception_v3 are not on this machine",
        "put inception_v3.safetensors", f"looked for {tmp_path / 'weights'}",
    )  # fmt: skip


def test_weights_of_another_digest_are_refused(scenario: Path, data: Path, tmp_path: Path) -> None:
    pinned = (
        "network: {backbones: [{architecture: test_byobnet, cut: stages.2, "
        f"weights_digest: {'a' * 64}}}]}}"
    )
    scenario.write_text(scenario.read_text().replace("  imaging:", f"  {pinned}\n  imaging:"))
    refused(
        run(scenario, data, "--out", tmp_path / "runs"),
        "the weights of test_byobnet have digest", "the study wants aaaaaaaaaaaa",
    )  # fmt: skip


def test_a_manifest_without_a_column_is_refused(scenario: Path, data: Path, tmp_path: Path) -> None:
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("path,label", "path,class", 1))
    refused(run(scenario, data, "--out", tmp_path / "runs"), "lacks the column label")


def test_an_unknown_label_is_told_with_those_of_the_study(
    scenario: Path, data: Path, tmp_path: Path
) -> None:
    change(data, "Odd", label="Pro")
    refused(
        run(scenario, data, "--out", tmp_path / "runs"),
        "1 of 96 images have a label that the study does not know: 1 x Odd",
        "the study's labels are Benign, Early, Pre, Pro",
    )  # fmt: skip


def test_no_images_to_validate_on_is_said_before_anything_is_trained(
    scenario: Path, data: Path, tmp_path: Path
) -> None:
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",validation", ",train"))
    refused(
        run(scenario, data, "--out", tmp_path / "runs"),
        "and 0 validation images", "partition.parts",
    )  # fmt: skip
    assert not list((tmp_path / "runs").glob("*/record.jsonl"))


@pytest.mark.slow
def test_an_unreadable_image_is_counted_and_stops_nothing(
    scenario: Path, data: Path, tmp_path: Path
) -> None:
    with (data / "manifest.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "train")
    image = data / row["path"]
    image.write_bytes(image.read_bytes()[:500])
    out = io.StringIO()
    found, study = load_scenario(scenario)
    places = Places(data, None, tmp_path / "runs", tmp_path / "cache")
    with PlainProgress(Console(file=out)) as watch:
        folder = simulate(found, study, places, watch, fresh=True)
    metrics = load_metrics(folder.path / "metrics.json")
    assert metrics.data[row["site"]].excluded == {"cannot be decoded": 1}
    assert image.name not in (folder.path / "report.html").read_text()
