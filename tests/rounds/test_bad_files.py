"""A run over a site whose folder holds every kind of bad file beside the good ones."""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.cli.main import main
from common.metrics import RunMetrics
from tests.support.bad_images import CASES
from tests.support.bad_input import in_time
from tests.support.odd_files import SMEAR, encoded
from tests.support.small_course import Course

BAD = [case for case in CASES if case.outcome == "left out"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*could be decompression bomb")]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Course, RunMetrics]]:
    """Run the small study after north has listed the bad files, a copy, and two of two labels."""
    course = Course(tmp_path_factory.mktemp("course"))
    with course.manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = next(row for row in rows if row["site"] == "north" and row["split"] == "train")
    listed = []
    for number, case in enumerate(BAD):
        place = course.images / "Jane Doe" / str(number)
        place.mkdir(parents=True)
        listed.append((place / case.write(place), first["label"]))
    for name, label in (("copy", first["label"]), ("one", "Pre"), ("other", "Pro")):
        place = course.images / "Jane Doe" / f"{name}.png"
        if name == "copy":
            shutil.copy(course.images / first["path"], place)
        else:
            place.write_bytes(encoded(SMEAR, "PNG"))
        listed.append((place, label))
    for path, label in listed:
        rows.append({**first, "path": path.relative_to(course.images).as_posix(), "label": label})
    with course.manifest.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    with in_time(300):
        yield course, course.run("spoilt", course.sites("spoilt"))


def test_every_bad_file_is_counted_and_none_named(course: tuple[Course, RunMetrics]) -> None:
    ran, metrics = course
    assert len(BAD) > 10
    assert metrics.complete
    assert metrics.data["north"].excluded == {
        "cannot be decoded": len(BAD), "exact duplicate": 1, "duplicate with another label": 2,
    }  # fmt: skip
    assert not metrics.data["south"].excluded
    folder = ran.home / "spoilt"
    told = [
        folder / "metrics.json", folder / "record.jsonl", folder / "report.html",
        *(folder / "release").glob("*.[jmy]*"),
    ]  # fmt: skip
    assert len(told) > 6
    for file in told:
        text = file.read_text(encoding="utf-8")
        assert "Jane" not in text
        assert "odd.jpg" not in text
    assert f"{len(BAD)} cannot be decoded" in ran.report("spoilt")


def test_a_manifest_at_fault_costs_its_site_alone(course: tuple[Course, RunMetrics]) -> None:
    ran, _ = course
    text = ran.manifest.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if ",west," in line)
    name = row.partition(",")[0]
    (ran.images / name).unlink()
    with in_time(300):
        metrics = ran.run("without-west", ran.sites("without-west"))
    assert sorted(metrics.data) == ["north", "south"]
    assert not metrics.complete
    for file in ("record.jsonl", "metrics.json", "report.html"):
        assert name not in (ran.home / "without-west" / file).read_text(encoding="utf-8")


def test_the_release_answers_for_odd_files_too(
    course: tuple[Course, RunMetrics], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, _ = course
    smears = tmp_path / "smears"
    smears.mkdir()
    (smears / "a.jpg").write_bytes(encoded(SMEAR, "PNG"))
    (smears / "b.jpg").write_bytes(b"")
    (smears / "c.jpg").mkdir()
    os.mkfifo(smears / "d.jpg")
    Path(os.fsdecode(bytes(smears) + b"/e\xff.jpg")).write_bytes(encoded(SMEAR, "PNG"))
    (smears / "f.jpg").symlink_to("nothing.jpg")
    (smears / "g.jpg").symlink_to("g.jpg")
    (tmp_path / "=1+1.png").write_bytes(encoded(SMEAR, "PNG"))
    monkeypatch.chdir(tmp_path)
    release = ran.home / "spoilt" / "release"
    with in_time(60):
        done = CliRunner().invoke(
            main,
            ["predict", "--release", str(release), "--out", "found.csv", "smears", "=1+1.png"],
        )
    assert done.exit_code == 0, done.output
    with (tmp_path / "found.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {row["path"]: row["reason"] for row in rows}
    assert found == {
        "smears/a.jpg": "", "smears/b.jpg": "an image cannot be decoded",
        "smears/c.jpg": "not a file", "smears/d.jpg": "not a file", "smears/e\\udcff.jpg": "",
        "smears/f.jpg": "No such file or directory",
        "smears/g.jpg": "Too many levels of symbolic links", "./=1+1.png": "",
    }  # fmt: skip
    assert [row["class"] for row in rows if not row["reason"]]
