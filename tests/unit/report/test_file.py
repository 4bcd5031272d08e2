"""The report as a file: whole or absent, and the same for the same figures."""

from pathlib import Path

import pytest

from common.errors import RunStopped
from common.metrics import RunMetrics
from server.report.page import render_report, write_report


def test_the_same_metrics_give_the_same_bytes(metrics: RunMetrics, tmp_path: Path) -> None:
    read_back = RunMetrics.model_validate_json(metrics.model_dump_json())
    write_report(metrics, tmp_path / "first.html")
    write_report(read_back, tmp_path / "again.html")
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "again.html").read_bytes()


def test_an_old_report_is_replaced_and_nothing_else_is_left(
    bare: RunMetrics, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "folder" / "report.html"
    write_report(bare, path)
    path.write_text("an older report, far longer than the new one" * 9999)
    write_report(bare, path)
    assert path.read_text(encoding="utf-8") == render_report(bare)
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_stops_the_run(bare: RunMetrics, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunStopped, match="the report cannot be written") as stopped:
        write_report(bare, tmp_path / "file" / "report.html")
    assert str(tmp_path) not in str(stopped.value)  # paths stay at home
    assert str(tmp_path) in stopped.value.local_detail

    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(RunStopped):
        write_report(bare, taken)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "taken"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_leaves_the_old_report_whole(bare: RunMetrics, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("the old report")
    (tmp_path / ".report.html.part").symlink_to("/dev/full")
    with pytest.raises(RunStopped, match="No space left"):
        write_report(bare, path)
    assert path.read_text() == "the old report"
    assert list(tmp_path.iterdir()) == [path]
