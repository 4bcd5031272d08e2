"""Images that hospitals have in common are counted; their hashes stay nowhere else."""

import csv
import shutil
from pathlib import Path

import pytest

from client.site import Site
from common.errors import RunStopped
from common.figures import Shared
from common.study.data import Data
from tests.support.small_course import Course

pytestmark = pytest.mark.slow
HASHED = Data(overlap="hashed")


def with_key(sites: dict[str, Site], key: Path) -> dict[str, Site]:
    for site in sites.values():
        site.config = site.config.model_copy(update={"overlap_key_file": key})
    return sites


def put_in_common(course: Course, count: int) -> None:
    """Let the second site hold copies of the first one's images, each under a name of its own."""
    with course.manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    one, other = course.study.sites[:2]
    mine = [row for row in rows if row["site"] == one][:count]
    for number, row in enumerate(mine):
        name = f"copy-{number}{Path(row['path']).suffix}"
        shutil.copyfile(course.images / row["path"], course.images / name)
        rows.append({**row, "path": name, "site": other})
    with course.manifest.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def test_equal_hashes_are_counted_and_forgotten(tmp_path: Path) -> None:
    course = Course(tmp_path, data=HASHED)
    put_in_common(course, 3)
    key = tmp_path / "overlap.key"
    key.write_text("0123456789abcdef" * 4 + "\n", encoding="utf-8")
    sites = with_key(course.sites("r", overlap=True), key)
    silent = course.study.sites[-1]
    sites[silent] = course.sites("r")[silent]  # does not allow it
    metrics = course.run("r", sites)
    one, other = sorted(course.study.sites[:2])
    assert metrics.overlap is not None
    counted = {shared.sites: shared.images for shared in metrics.overlap}
    assert counted.pop((one, other)) == 3
    assert not any(counted.values())
    assert not any(silent in pair for pair in counted)
    assert f"{one} and {other} have 3 images in common" in course.report("r")
    (census,) = (e for e in course.events("r", "round") if e["phase"] == "census")
    assert Shared.model_validate(census["overlap"][0]) in metrics.overlap
    log = (tmp_path / "r" / "hospitals" / one / "egress.jsonl").read_text(encoding="utf-8")
    told = log.split('"overlap":["', 1)[1].split('"', 1)[0]
    assert len(told) == 32  # what left stands in the hospital's own log
    kept = [path for path in (tmp_path / "r").rglob("*") if path.is_file()]
    kept = [path for path in kept if "hospitals" not in path.parts]
    assert kept
    assert not any(told.encode() in path.read_bytes() for path in kept)


def test_a_site_that_allows_it_and_has_no_key_refuses(tmp_path: Path) -> None:
    course = Course(tmp_path, data=HASHED)
    with pytest.raises(RunStopped):
        course.run("r", course.sites("r", overlap=True))
    record = (tmp_path / "r" / "record.jsonl").read_text(encoding="utf-8")
    assert "overlap_key_file names no key" in record


def test_a_demanded_column_that_is_missing_is_told_at_both_ends(tmp_path: Path) -> None:
    course = Course(tmp_path, data=Data(require="patient"))
    with course.manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["slide"], row["patient"] = row["patient"], ""
    with course.manifest.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    with pytest.raises(RunStopped):
        course.run("r", course.sites("r"))
    record = (tmp_path / "r" / "record.jsonl").read_text(encoding="utf-8")
    assert "demands groups by patient" in record
    assert "it would group by slide" in record
    site = course.study.sites[0]
    log = (tmp_path / "r" / "hospitals" / site / "egress.jsonl").read_text(encoding="utf-8")
    assert "demands groups by patient" in log
