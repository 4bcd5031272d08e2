import csv
from pathlib import Path

from common.study.data import Split
from simulations.division import ByColumn
from simulations.joined import joined_manifest
from simulations.partition import partition
from tests.support.datasets import write_datasets


def test_each_dataset_is_a_site_and_no_group_is_in_two(tmp_path: Path) -> None:
    manifest = joined_manifest(write_datasets(tmp_path), tmp_path, tmp_path / "cache")
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows[:2]] == ["first/0.png", "first/1.png"]
    assert {row["patient"] for row in rows if row["dataset"] == "south"} == {
        f"south/{n}" for n in range(12)
    }
    assert {row["slide"] for row in rows} == {"", "south/s"}
    way = ByColumn(by="column", column="dataset", together=("patient",), parts=Split())
    divided = partition(manifest, way, 1, ("north", "south"), root=tmp_path)
    for row in divided:
        assert (row["site"] == "north") == row["path"].startswith("first/")
    assert {row["split"] for row in divided} == {"train", "validation", "test"}


def test_the_same_datasets_are_the_same_file(tmp_path: Path) -> None:
    named = write_datasets(tmp_path)
    first = joined_manifest(named, tmp_path, tmp_path / "cache")
    assert joined_manifest(named, tmp_path, tmp_path / "cache") == first
    with (tmp_path / "first" / "manifest.csv").open("a") as file:
        file.write("0.png,b,99\n")
    assert joined_manifest(named, tmp_path, tmp_path / "cache") != first
