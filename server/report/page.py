"""A run's report: one HTML file that needs nothing besides itself."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from common.errors import RunStopped
from common.figures import Mark
from common.held import PARTS, groups_held, summed
from common.metrics import RunMetrics
from common.sizes import size
from common.whole_file import write_whole
from server.report import figures, words
from server.report.colour_figure import colour_figure
from server.report.data_figure import data_figure
from server.report.rows import (
    arm_rows,
    attendance_rows,
    cost_rows,
    data_table,
    flattened,
    shares,
    sites_of,
    told_environments,
)
from server.report.verdict import verdict, worst_class

_MEASURES = {"macro_f1": "Macro F1", "accuracy": "Accuracy", "macro_auc": "Macro AUC"}
_SIGNS: Mapping[Mark, tuple[str, str]] = {
    "answered": ("●", "its replies counted"),
    "late": ("◑", "its reply came after the deadline"),
    "missing": ("○", "it gave no reply"),
    "refused": ("⊘", "it refused"),
    "rejected": ("\N{MULTIPLICATION SIGN}", "its reply was refused"),
    "left out": ("·", "it was not asked, having been lost before"),
    "not drawn": ("\N{EN DASH}", "it was not asked: the round was drawn without it"),
}


def write_report(metrics: RunMetrics, path: Path) -> None:
    """Write the report; the same metrics give the same bytes with the same matplotlib.

    Args:
        metrics: of the run.
        path: the HTML file; it is replaced, whole or not at all, if it exists.

    Raises:
        RunStopped: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, render_report(metrics).encode())
    except OSError as error:
        raise RunStopped(
            f"the report cannot be written: {error.strerror}",
            fix="make room on the disk or correct its permissions, then write it again",
            local_detail=str(path),
        ) from error


def render_report(metrics: RunMetrics) -> str:
    """Return the report's HTML."""
    room = Environment(
        loader=PackageLoader("server.report", "."),
        autoescape=True,  # names come from the sites
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters |= {
        "number": words.number,
        "signed": words.signed,
        "duration": words.duration,
        "spoken": words.spoken,
    }
    source, _, _ = PackageLoader("server.report", ".").get_source(room, "page.css")
    arms = metrics.arms
    return room.get_template("page.html.j2").render(
        metrics=metrics,
        css=Markup(source),
        verdict=verdict(metrics),
        worst_class=worst_class(arms.federated),
        arms=arm_rows(metrics),
        attendance=attendance_rows(metrics),
        signs=_SIGNS,
        has_trees=_has_trees(metrics),
        has_alone=any(scores.alone for scores in metrics.per_site.values()),
        measures=_MEASURES,
        confusions=[
            (name, arm)
            for name, arm in (("Federated", arms.federated), ("Pooled", arms.pooled))
            if arm is not None
        ],
        costs=_costs(metrics),
        parts=PARTS,
        data_table=data_table,
        groups=[groups_held(metrics.data, part) for part in PARTS],
        held={site: summed([held], metrics.classes) for site, held in metrics.data.items()},
        is_withheld=any(any(held.withheld.values()) for held in metrics.data.values()),
        matrix=_matrix,
        amount=_amount,
        environment=flattened(
            {name: fact for name, fact in metrics.environment.items() if name != "sites"}
        ),
        site_environments=told_environments(metrics.environment),
        study=yaml.safe_dump(metrics.settings, sort_keys=False, allow_unicode=True, width=100),
        figures=_figures(metrics),
        span=words.span,
        signed=words.signed,
    )


def _has_trees(metrics: RunMetrics) -> bool:
    # The settings of an older run need not be a study of this version.
    settings: Mapping[str, Any] = metrics.settings
    modes = [one.get("mode") for one in settings.get("phases", []) if one["name"] == "booster"]
    return modes != ["none"]


def _matrix(
    classes: Sequence[str], confusion: Sequence[Sequence[int]]
) -> Iterator[tuple[str, Sequence[int], Sequence[float]]]:
    """Yield name, counts and shares of each row of a confusion matrix."""
    return zip(classes, confusion, shares(confusion), strict=True)


def _amount(value: float, unit: str) -> str:
    return size(value) if unit == "bytes" else words.duration(value)


def _figures(metrics: RunMetrics) -> dict[str, Any]:
    rows = arm_rows(metrics)
    arm = metrics.arms.federated
    totals = {
        name: {phase: sum(by_site.values()) / 1e6 for phase, by_site in costs.items()}
        for name, costs in (("down to sites", metrics.bytes_down), ("up", metrics.bytes_up))
        if costs
    }
    works = {
        phase: max(by_site.values(), default=0.0) for phase, by_site in metrics.seconds.items()
    }
    return {
        "arms": [figures.arms_figure(rows, key, label) for key, label in _MEASURES.items()]
        if len(rows) > 1
        else [],
        "roc": figures.roc_figure(arm),
        "reliability": figures.reliability_figure(arm, arm.softmax),
        "sites": figures.sites_figure(metrics.per_site) if metrics.per_site else None,
        "curves": {
            phase: figures.curves_figure(phase, points)
            for phase, points in metrics.curves.items()
            if points
        },
        "bytes": figures.cost_figure("bytes", "MB, all sites together", totals) if totals else None,
        "seconds": figures.cost_figure(
            "seconds", "Seconds of work at the slowest site", {"seconds": works}
        )
        if works
        else None,
        "data": data_figure(metrics.data, metrics.classes) if metrics.data else None,
        "colours": colour_figure(metrics.partition.colours, metrics.classes)
        if metrics.partition and metrics.partition.colours
        else None,
    }


def _costs(metrics: RunMetrics) -> list[tuple[str, str, list[str], Any]]:
    """Return title, unit, sites and rows of each table of costs that is not empty."""
    tables = (
        ("Bytes down, to the sites", "bytes", metrics.bytes_down),
        ("Bytes up, from the sites", "bytes", metrics.bytes_up),
        ("Seconds of work at the sites", "seconds", metrics.seconds),
    )
    return [
        (title, unit, sites_of(costs), cost_rows(costs)) for title, unit, costs in tables if costs
    ]
