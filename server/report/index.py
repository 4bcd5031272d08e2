"""A page that lists runs, each with its headline figures and a link to its report."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from common.errors import CorruptFile, RunStopped
from common.metrics import RunMetrics, load_metrics
from common.record import read_record
from common.sizes import size
from common.whole_file import write_whole
from server.report import words
from server.report.page import write_report


@dataclass(frozen=True)
class ListedRun:
    """A run's folder, and what is known of it."""

    name: str
    report: Path
    begun: datetime | None
    rounds: int  # that are over, of the federated arm
    metrics: RunMetrics | None  # None: it has not come to its end


def write_again(folder: Path) -> ListedRun | None:
    """Write the report of a run anew from its metrics; None: the folder holds no run.

    A run without metrics has not come to its end; it is told of, and no report is written.

    Raises:
        CorruptFile: its metrics or its record cannot be read.
        RunStopped: the report cannot be written.
    """
    record = folder / "record.jsonl"
    measured = folder / "metrics.json"
    if not record.is_file() and not measured.is_file():
        return None
    events = read_record(record) if record.is_file() else []
    metrics = load_metrics(measured) if measured.is_file() else None
    report = folder / "report.html"
    if metrics is not None:
        write_report(metrics, report)
    ours = [event for event in events if ".federated" in str(event.get("run"))]
    return ListedRun(
        name=folder.resolve().name,
        report=report,
        begun=datetime.fromisoformat(events[0]["time"]) if events else None,
        rounds=sum(event.get("event") == "round" for event in ours),
        metrics=metrics,
    )


def write_index(runs: Sequence[ListedRun], path: Path) -> None:
    """Write the page.

    Args:
        runs: in the order in which they are listed.
        path: the HTML file; links lead from its folder to the reports.

    Raises:
        RunStopped: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, render_index(runs, path.parent).encode())
    except OSError as error:
        raise RunStopped(
            f"the page cannot be written: {error.strerror}",
            fix="make room on the disk or correct its permissions, then write it again",
            local_detail=str(path),
        ) from error


def render_index(runs: Sequence[ListedRun], folder: Path) -> str:
    """Return the page's HTML, with links that hold in a folder."""
    room = Environment(
        loader=PackageLoader("server.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters |= {"number": words.number, "duration": words.duration, "size": size}
    css, _, _ = PackageLoader("server.report", ".").get_source(room, "page.css")
    links = [_link(run.report, folder) for run in runs]
    return room.get_template("index.html.j2").render(
        runs=list(zip(runs, links, strict=True)),
        css=Markup(css),
        span=words.span,
        carried=_carried,
    )


def check_runs(found: Sequence[ListedRun | None]) -> list[ListedRun]:
    """Return the folders that hold runs.

    Raises:
        CorruptFile: none does.
    """
    runs = [run for run in found if run is not None]
    if not runs:
        raise CorruptFile(
            "no folder holds a run",
            fix="give folders with a record.jsonl or a metrics.json, such as runs/latest",
        )
    return runs


def _carried(metrics: RunMetrics) -> float:
    """Return the bytes that travelled, both ways, all sites together."""
    costs = (metrics.bytes_down, metrics.bytes_up)
    return float(sum(sum(sites.values()) for by_phase in costs for sites in by_phase.values()))


def _link(report: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(report.resolve(), folder.resolve())).as_posix())
