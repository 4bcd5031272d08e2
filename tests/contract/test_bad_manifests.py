"""Manifests that are wrong, or look so: one error that tells what to do, or the same images."""

import time
from pathlib import Path

import pytest

from client.data.manifest import read_manifest
from common.errors import DataError
from tests.support.bad_input import Case, in_time
from tests.support.bad_manifests import CASES

CLASSES = ("Benign", "Early", "Pre")


@pytest.mark.parametrize("case", CASES, ids=[case.given for case in CASES])
def test_one_manifest(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "smears of ward 7"
    folder.mkdir()
    path = folder / case.write(folder)
    if case.outcome == "used":
        read = read_manifest(path, CLASSES)
        assert [(one.image.name, one.label) for one in read.examples] == [
            ("a.jpg", 2), ("b.jpg", 1),
        ]  # fmt: skip
        assert read.grouped_by == "patient"
        return
    with in_time(), pytest.raises(DataError) as caught:
        read_manifest(path, CLASSES)
    error = caught.value
    assert error.problem == case.says
    assert "section Manifest)" in error.fix or "in the site file (`labels`)" in error.fix
    assert "ward 7" not in str(error), "no path travels"
    where = ("line ", "Into the site file", str(path))
    assert any(text in error.local_detail for text in where)


def test_a_hundred_thousand_rows_at_fault_are_told_in_seconds(tmp_path: Path) -> None:
    rows = "".join(f"images/{number}.jpg,Pre,p{number % 700}\n" for number in range(100_000))
    path = tmp_path / "manifest.csv"
    path.write_text("path,label,patient\n" + rows)
    began = time.process_time()
    with pytest.raises(DataError) as caught:
        read_manifest(path, CLASSES)
    assert time.process_time() - began < 20
    assert caught.value.problem == (
        "100000 of 100000 manifest lines are unusable (100000 x image not found)"
    )
    assert len(caught.value.local_detail.splitlines()) == 201
