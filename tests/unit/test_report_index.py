from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from common.record import Record
from server.report.index import ListedRun, render_index
from server.report.page import render_report
from simulations.cli.main import main as sim_command
from tests.support.metrics_builder import build_metrics, federated_alone, with_losses

METRICS = build_metrics()


def call(*words: object) -> Any:
    return CliRunner().invoke(sim_command, ["report", *map(str, words)])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Write a finished run of the bench, one of a federation, and one that is not finished."""
    folder = tmp_path / "runs"
    metrics = {
        "bench-1": METRICS,
        "hospitals-1": with_losses(federated_alone(METRICS)).model_copy(update={"name": "a <b>"}),
    }
    for name in ("bench-1", "hospitals-1", "cut-off"):
        (folder / name).mkdir(parents=True)
        record = Record(folder / name / "record.jsonl", study="0" * 64, run=f"{name}.federated")
        record.write("round", phase="census", round=1)
        record.write("round", phase="fusion", round=1)
        if name in metrics:
            text = metrics[name].model_dump_json()
            (folder / name / "metrics.json").write_text(text, encoding="utf-8")
    (folder / "cache").mkdir()
    (folder / "index.html").touch()  # of an earlier call, for the same runs/*
    (folder / "latest").symlink_to("bench-1")
    return folder


def test_a_report_is_written_again_as_it_was(runs: Path) -> None:
    done = call(runs / "latest")
    assert done.exit_code == 0
    assert done.output == f"bench-1: {runs / 'bench-1' / 'report.html'}\n"
    written = (runs / "bench-1" / "report.html").read_text(encoding="utf-8")
    assert written == render_report(METRICS)
    assert (runs / "index.html").read_text() == ""


def test_several_runs_are_listed_each_once(runs: Path) -> None:
    done = call(*sorted(runs.iterdir()))
    assert done.exit_code == 0
    assert "cache: left out, no run" in done.output
    assert "index.html: left out, no run" in done.output
    assert "cut-off: not finished, 2 rounds are over" in done.output
    assert (runs / "hospitals-1" / "report.html").is_file()
    assert not (runs / "cut-off" / "report.html").exists()
    page = (runs / "index.html").read_text(encoding="utf-8")
    assert page.count('<a href="bench-1/report.html">bench-1</a>') == 1
    assert '<a href="hospitals-1/report.html">' in page
    assert "a &lt;b&gt;" in page
    assert "incomplete" in page
    assert "2 rounds are over" in page
    assert f"{METRICS.arms.federated.macro_f1:.3f}" in page


def test_links_lead_from_where_the_page_lies(runs: Path, tmp_path: Path) -> None:
    listed = ListedRun("bench-1", runs / "bench-1" / "report.html", None, 0, METRICS)
    page = render_index([listed], tmp_path / "pages")
    assert '<a href="../runs/bench-1/report.html">' in page
    call(runs / "cut-off", "--index", tmp_path / "pages" / "all.html")
    page = (tmp_path / "pages" / "all.html").read_text(encoding="utf-8")
    assert "<a " not in page  # it has no report yet


def test_a_folder_without_a_run_is_told(runs: Path) -> None:
    done = call(runs / "cache")
    assert done.exit_code == 1
    assert "no folder holds a run" in done.output
