import csv
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result

from client.cli.main import main
from client.data.fields.columns import fields_of, manifest_text, mixed, straddling
from client.data.fields.finding import Pair
from client.data.manifest import Example
from tests.support.scenes import packed, scene, window


def example(name: str, group: str = "g", label: int = 0, **cells: str) -> Example:
    return Example(Path(name), label, group, **cells)


def pair(first: str, second: str) -> Pair:
    return Pair(Path(first), Path(second), 20)


def test_fields_are_what_pairs_connect() -> None:
    examples = [example(name) for name in "abcdef"]
    found = fields_of(examples, [pair("a", "c"), pair("c", "f"), pair("b", "e")])
    assert found.names == ("F1", "F2", "F1", "F3", "F2", "F1")
    assert (found.sharing, max(found.sizes.values())) == (5, 3)


def test_fields_that_the_manifest_tells_are_joined_and_never_thrown_away() -> None:
    told = [("a", "F2"), ("b", "x"), ("c", None), ("d", "F2"), ("e", None), ("f", "y")]
    examples = [Example(Path(name), 0, "g", field=field) for name, field in told]
    found = fields_of(examples, [pair("b", "c"), pair("d", "f")])
    assert found.names == ("F2", "x", "x", "F2", "F1", "F2")


def test_every_other_column_of_a_manifest_stays() -> None:
    rows = [{"path": "a", "label": "L", "ward": "W, 1", "field": "old", "": ""}]
    examples = [Example(Path("a"), 0, "g", field="old")]
    assert manifest_text(rows, fields_of(examples, [])) == (
        'path,label,ward,field\na,L,"W, 1",old\n'
    )


def test_groups_in_two_parts_straddle() -> None:
    examples = [
        example("a", "p1", split="train"), example("b", "p1", split="TEST"),
        example("c", "p2", split="val"), example("d", "p2", split="validation"),
        example("e", "p3", split="train"), example("f", "p3"),
    ]  # fmt: skip
    assert straddling(examples) == {"p1": 2}


def test_fields_of_two_labels_are_counted() -> None:
    assert mixed([example("a", "f1"), example("b", "f1", 1), example("c", "f2")]) == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["path,label,split,ward"]
    for number in range(4):
        for part, (row, column) in {"train": (20, 20), "test": (60, 80)}.items():
            name = f"{number}-{part}.jpg"
            (tmp_path / name).write_bytes(packed(window(scene(number), row, column)))
            rows.append(f"{name},{'AB'[number % 2]},{part if number else 'train'},W{number}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def called(folder: Path, *arguments: str) -> Result:
    cache = ["--cache", str(folder / "cache"), "--site", str(folder)]
    return CliRunner().invoke(main, ["fields", str(folder / "manifest.csv"), *cache, *arguments])


def test_the_command_fills_the_column_and_writes_the_pairs(folder: Path) -> None:
    out, pairs, sheet = (folder / name for name in ("m2.csv", "pairs.csv", "pairs.png"))
    done = called(folder, "--out", str(out), "--pairs", str(pairs), "--sheet", str(sheet))
    assert done.exit_code == 0, done.output
    assert "4 pairs" in done.output
    assert "4 fields of 8 images; 8 images share theirs with another one" in done.output
    assert "3 fields (6 images) lie in more than one part" in done.output
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["field"] for row in rows] == [f"F{i}" for i in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert [row["ward"] for row in rows] == [f"W{i}" for i in (0, 0, 1, 1, 2, 2, 3, 3)]
    with pairs.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["path_a"], row["path_b"]) for row in found] == [
        (f"{i}-test.jpg", f"{i}-train.jpg") for i in range(4)
    ]
    assert all(int(row["inliers"]) >= 14 for row in found)
    assert cv2.imread(str(sheet)) is not None


def test_nothing_is_overwritten_and_paths_stay_whole(folder: Path) -> None:
    done = called(folder, "--out", str(folder / "manifest.csv"))
    assert done.exit_code == 1
    assert "exists already" in done.output
    elsewhere = folder / "below"
    elsewhere.mkdir()
    done = called(folder, "--out", str(elsewhere / "m.csv"))
    assert done.exit_code == 1
    assert "--root" in done.output
    assert not (folder / "cache").exists()
