"""Tables and pictures of a dataset: counted by hand, read back from what is written."""

import csv
import os
import shutil
import stat
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from client.cli.main import main
from client.data.describe import Cell, count
from client.data.manifest import Example
from client.data.tables import table_csv
from client.holdings import examine
from client.site_config import load_site_config
from simulations.cli.main import main as bench
from tests.support.site_folder import CLASSES, SiteOnDisk
from tests.support.small import write_smears
from tests.support.small_scenario import write_scenario

SHARED = Path(__file__).parents[3] / "shared" / "data"
TALEQANI = Path(os.environ.get("LEUKOFED_DATA", SHARED)) / "taleqani-dev" / "manifest.csv"
_GROUPS = ("p0", "p0", "p1", "p1", "p1", "p2")
_LABELS = (0, 0, 0, 1, 1, 1)
EXAMPLES = [
    Example(Path(f"{number}.png"), label, group)
    for number, (label, group) in enumerate(zip(_LABELS, _GROUPS, strict=True))
]


def called(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["describe", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def cells(path: Path) -> dict[tuple[str, str, str], tuple[int, int, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (row["by"], row["column"], row["class"]): (
                int(row["images"]), int(row["groups"]), float(row["percent"]),
            )
            for row in csv.DictReader(file)
        }  # fmt: skip


def test_images_groups_and_shares_are_counted() -> None:
    places = ["train", "train", "test", "test", "test", "test"]
    found = count(EXAMPLES, places, ("a", "b"), ("train", "validation", "test"))
    assert found.classes == ("a", "b", None)
    assert found.columns == ("train", "validation", "test", None)
    assert found.cells["a", "train"] == Cell(2, 1, 1.0)
    assert found.cells["a", "test"] == Cell(1, 1, 0.25)
    assert found.cells["b", "test"] == Cell(3, 2, 0.75)
    assert found.cells["b", "validation"] == Cell(0, 0, 0.0)
    assert found.cells["a", None] == Cell(3, 2, 0.5)
    assert found.cells[None, "train"] == Cell(2, 1, 2 / 6)
    assert found.cells[None, None] == Cell(6, 3, 1.0)


def test_a_class_named_as_a_total_stays_apart() -> None:
    found = count(EXAMPLES, [""] * 6, ("all", "hem"), ())
    assert found.cells["all", None].images == found.cells["hem", None].images == 3
    assert found.cells[None, None].images == 6


def test_a_class_that_begins_like_a_formula_is_text_in_a_spreadsheet() -> None:
    found = count(EXAMPLES, [""] * 6, ("=1+1", "b"), ())
    rows = list(csv.reader(table_csv({"class": found}).splitlines()))
    assert [row[2] for row in rows[1:]] == ["'=1+1", "b", "total"]


def test_a_manifest_is_described(tmp_path: Path) -> None:
    smears = write_smears(tmp_path / "smears", 8, 40)
    shutil.copy(smears[0].image, tmp_path / "smears" / "copy.png")
    Image.open(smears[1].image).convert("L").save(smears[1].image, "JPEG")
    (tmp_path / "smears" / "none.png").write_bytes(b"no image")
    rows = [f"{one.image.name},{CLASSES[one.label]},{one.group}" for one in smears]
    rows += [f"copy.png,{CLASSES[0]},p", f"none.png,{CLASSES[0]},p"]
    manifest = tmp_path / "smears" / "manifest.csv"
    manifest.write_text("\n".join(["path,label,patient", *rows, ""]))
    result = called(
        manifest, "--csv", tmp_path / "t.csv", "--picture", tmp_path / "t.png", "--samples",
        tmp_path / "s.png",
    )  # fmt: skip
    for text in (
        "8 images in 8 groups", "grouped by: patient", "formats: 7 PNG RGB, 1 JPEG L",
        "pixels:  8 of 40 x 40", "left out: 1 cannot be decoded, 1 exact duplicate",
        "must not leave this machine",
    ):  # fmt: skip
        assert text in result.output
    found = cells(tmp_path / "t.csv")
    assert found["class", "total", "Benign"] == (2, 2, 25.0)
    assert found["class", "total", "total"] == (8, 8, 100.0)
    for name in ("t.png", "s.png"):
        with Image.open(tmp_path / name) as picture:
            picture.load()
            assert picture.width > 300
            assert len(picture.convert("RGB").getcolors(2**20) or ()) > 20
    assert stat.S_IMODE((tmp_path / "s.png").stat().st_mode) == 0o600


def test_a_site_is_described_as_a_study_would_find_it(tmp_path: Path) -> None:
    site = SiteOnDisk(tmp_path)
    proposal, study = site.propose()
    before = set(tmp_path.rglob("*"))
    result = called("--site", tmp_path, "--study", proposal, "--csv", tmp_path / "t.csv")
    assert "24 images in 24 groups, by part" in result.output
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "t.csv"}
    found = cells(tmp_path / "t.csv")
    held = examine(load_site_config(tmp_path / "site.yaml"), study)
    for part, examples in held.parts.items():
        counted = Counter(example.label for example in examples)
        for label, name in enumerate(CLASSES):
            assert found["part", part, name][0] == counted[label]
        assert found["part", part, "total"][:2] == (len(examples), len(examples))


def test_parts_that_the_manifest_states_are_told(tmp_path: Path) -> None:
    smears = write_smears(tmp_path, 8, 40)
    rows = [
        f"{one.image.name},{CLASSES[one.label]},{('train', 'test')[number // 4]}"
        for number, one in enumerate(smears)
    ]
    (tmp_path / "m.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    result = called(tmp_path / "m.csv", "--csv", tmp_path / "t.csv")
    assert "grouped by: image (no column of the manifest groups the images)" in result.output
    found = cells(tmp_path / "t.csv")
    assert found["part", "train", "Pro"] == (1, 1, 25.0)
    assert found["part", "validation", "total"] == (0, 0, 0.0)


def test_a_scenario_divides_a_dataset_among_its_sites(tmp_path: Path) -> None:
    smears = write_smears(tmp_path / "smears", 48, 32)
    rows = [f"{one.image.name},{CLASSES[one.label]},{one.group}" for one in smears]
    manifest = tmp_path / "smears" / "manifest.csv"
    manifest.write_text("\n".join(["path,label,patient", *rows, ""]))
    scenario = write_scenario(tmp_path)
    text = scenario.read_text().replace("  by: column\n  column: site\n", "  by: iid\n")
    scenario.write_text(text)
    arguments = [manifest, "--scenario", scenario, "--csv", tmp_path / "t.csv"]
    result = CliRunner().invoke(bench, ["describe", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "48 images in 48 groups, by site" in result.output
    assert "48 images in 48 groups, by part" in result.output
    assert "site and part" not in result.output
    found = cells(tmp_path / "t.csv")
    assert found["site", "north", "total"][0] == 16
    in_north = [found["site and part", f"north {part}", "total"][0] for part in
                ("train", "validation", "test")]  # fmt: skip
    assert sum(in_north) == 16
    assert found["part", "total", "total"][0] == found["site", "total", "total"][0] == 48


def test_one_manifest_of_a_scenario_of_several_is_not_taken_for_all(tmp_path: Path) -> None:
    joined = tmp_path / "joined.yaml"
    study = Path(__file__).parents[2] / "configs" / "studies" / "synthetic.yaml"
    joined.write_text(
        f"name: joined\nstudy: {study}\narms: [federated]\n"
        "data: {kind: manifests, manifests: {a: a/m.csv, b: b/m.csv}, needs: both}\n"
        "partition: {by: column, column: dataset}\n"
    )
    arguments = ["describe", str(SiteOnDisk(tmp_path).manifest), "--scenario", str(joined)]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 1
    assert "joins several datasets" in result.output


@pytest.mark.parametrize("option", ["--csv", "--picture", "--samples"])
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, option: str) -> None:
    site = SiteOnDisk(tmp_path)
    result = CliRunner().invoke(
        main, ["describe", str(site.manifest), option, str(tmp_path / "absent" / "x.png")]
    )
    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.output


@pytest.mark.real
@pytest.mark.skipif(not TALEQANI.is_file(), reason=f"no real images: {TALEQANI} is absent")
def test_the_development_set_is_counted_as_its_description_says(tmp_path: Path) -> None:
    called(TALEQANI, "--csv", tmp_path / "t.csv")
    found = cells(tmp_path / "t.csv")
    told = {name: found["class", "total", name][0] for name in CLASSES}
    assert told == {"Benign": 395, "Early": 771, "Pre": 755, "Pro": 601}
