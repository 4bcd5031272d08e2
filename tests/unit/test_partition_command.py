import csv
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from simulations.cli.main import main
from tests.support.datasets import write_datasets
from tests.support.small_scenario import SITES, write_scenario

ROOT = Path(__file__).parents[2]
WAY = "by: dirichlet\n  alpha: 1.0"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("partition")


def divide(home: Path, name: str, way: str, *more: str, beside: str = "") -> Result:
    scenario = write_scenario(home / name)
    text = scenario.read_text(encoding="utf-8")
    text = text.replace("by: column\n  column: site", way) + beside
    scenario.write_text(text, encoding="utf-8")
    words = ["partition", str(scenario), "--out", str(home / f"{name}.csv"),
             "--cache", str(home / "cache")]  # fmt: skip
    return CliRunner().invoke(main, [*words, *more])


def test_a_division_is_shown_written_drawn_and_used_again(home: Path) -> None:
    picture = home / "sites.png"
    beside = "shifts: {south: {blue: 1.5}}\n"
    done = divide(home, "first", WAY, "--picture", str(picture), beside=beside)
    assert done.exit_code == 0, done.output
    data = (home / "first.csv").read_bytes()
    assert f"sha256: {sha256(data).hexdigest()}" in done.output
    rows = list(csv.DictReader(data.decode().splitlines()))
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert {row["site"] for row in rows} == set(SITES)
    for site in SITES:
        own = sum(row["site"] == site and row["split"] == "train" for row in rows)
        line = next(x for x in done.output.splitlines() if x.startswith(f"{site} "))
        assert line.split()[-1] == str(own)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape[0] > 300
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50

    again = divide(home, "second", f"by: file\n  file: {home / 'first.csv'}")
    assert again.exit_code == 0, again.output
    assert (home / "second.csv").read_bytes() == data


def test_each_of_two_datasets_is_a_site(tmp_path: Path) -> None:
    manifests = write_datasets(tmp_path)
    scenario = tmp_path / "two.yaml"
    settings = "{sites: [north, south], quorum: 2, labels: {name: two, classes: [a, b]}}"
    scenario.write_text(
        f"name: two\nstudy: {ROOT / 'configs' / 'studies' / 'synthetic.yaml'}\n"
        f"settings: {settings}\n"
        f"data: {{kind: manifests, needs: both, manifests: {json.dumps(manifests)}}}\n"
        "partition: {by: column, column: dataset, together: [patient]}\n"
    )
    words = ["partition", str(scenario), "--out", str(tmp_path / "two.csv")]
    cache = ["--cache", str(tmp_path / "cache")]
    lacking = CliRunner().invoke(main, [*words, *cache])
    assert "scenario two needs a dataset" in lacking.output
    done = CliRunner().invoke(main, [*words, *cache, "--data", str(tmp_path)])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "two.csv").read_text().splitlines()))
    assert {(row["path"].partition("/")[0], row["site"]) for row in rows} == {
        ("first", "north"), ("second", "south"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("beside", "problem"),
    [
        ("shifts: {moon: {blue: 2}}", "moon: no site of the study"),
        ("label_noise: {south: {table: {Early: {Late: 0.1}}}}", "Late: no class of the study"),
    ],
)
def test_names_that_the_study_does_not_know(home: Path, beside: str, problem: str) -> None:
    done = divide(home, "fourth", WAY, beside=beside + "\n")
    assert done.exit_code == 1
    assert problem in done.output
