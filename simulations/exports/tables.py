"""A run as tidy tables: one fact a row, the same columns for every run, each with its meaning."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from common.asks import ClassifierName
from common.figures import Interval, Summary
from common.metrics import RunMetrics, Scores
from common.study.strict import Strict
from simulations.exports.rows import (
    AttendanceRow,
    ClassRow,
    ConfusionRow,
    ExchangeRow,
    ImageRow,
    LossRow,
    PhaseRow,
    ScoreRow,
    SecondsRow,
    SettingRow,
)

ALL_SITES = "all"
Events = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """One table."""

    name: str
    kind: type[Strict]  # whose fields are its columns
    rows: Sequence[Strict]


def tables(run: str, metrics: RunMetrics, events: Events) -> list[Table]:
    """Return every table of a run, in a fixed order; one may have no rows.

    Args:
        run: name of its folder.
        metrics: its metrics.json.
        events: its record.
    """
    return [
        Table("exchanges", ExchangeRow, list(_exchanges(run, events))),
        Table("losses", LossRow, list(_losses(metrics))),
        Table("scores", ScoreRow, list(_scores(metrics))),
        Table("classes", ClassRow, list(_classes(metrics))),
        Table("confusion", ConfusionRow, list(_confusion(metrics))),
        Table("phases", PhaseRow, list(_phases(metrics))),
        Table("attendance", AttendanceRow, list(_attendance(metrics))),
        Table("images", ImageRow, list(_images(metrics))),
        Table("seconds", SecondsRow, list(_seconds(metrics))),
        Table("settings", SettingRow, list(settings(metrics.settings))),
    ]


def settings(document: JsonValue, path: str = "") -> Iterator[SettingRow]:
    """Yield the leaves of a study's plain data by dotted path."""
    below = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list) and any(isinstance(one, dict | list) for one in document)
        else ()
    )
    if not below:
        yield SettingRow(field=path, value=json.dumps(document, ensure_ascii=False))
    for name, value in below:
        yield from settings(value, f"{path}.{name}".lstrip("."))


def _exchanges(run: str, events: Events) -> Iterator[ExchangeRow]:
    for event in events:
        if event["event"] != "exchange":
            continue
        costs = {
            column: event.get(key, {})
            for column, key in (
                ("bytes_down", "bytes_down"), ("bytes_up", "bytes_up"),
                ("work_seconds", "work_s"), ("waited_seconds", "waited_s"),
                ("examples", "examples"),
            )
        }  # fmt: skip
        for site in event["invited"]:
            yield ExchangeRow(
                arm=str(event["run"]).removeprefix(f"{run}."),
                phase=event["phase"], round=event["round"], exchange=event["exchange"],
                ask=event["ask"], site=site, time=event["time"],
                accepted=site in event["accepted"],
                **{column: by_site.get(site) for column, by_site in costs.items()},
            )  # fmt: skip


def _losses(metrics: RunMetrics) -> Iterator[LossRow]:
    for phase, points in metrics.curves.items():
        for point in points:
            yield LossRow(
                phase=phase, round=point.round, stage=point.stage, loss=point.loss,
                validation_loss=point.validation_loss,
                validation_accuracy=point.validation_accuracy,
            )  # fmt: skip


def _classified(metrics: RunMetrics) -> Iterator[tuple[str, ClassifierName | str, Scores]]:
    """Yield arm, classifier and scores of everything that was measured."""
    arms = metrics.arms
    models = {"federated": arms.federated, "pooled": arms.pooled}
    models |= {f"local_only.{site}": alone for site, alone in arms.local_only.items()}
    for arm, model in models.items():
        if model is not None:
            yield arm, "booster", model
            yield arm, "softmax", model.softmax
    for arm, probe in (("linear_probe", arms.linear_probe), ("colour_only", arms.colour_only)):
        if probe is not None:
            yield arm, "probe", probe


def _scores(metrics: RunMetrics) -> Iterator[ScoreRow]:
    unknown: Interval = (None, None)
    for arm, classifier, scores in _classified(metrics):
        intervals = dict(scores.interval)
        for measure in ("accuracy", "macro_f1", "macro_auc", "ece", "brier", "log_loss"):
            low, high = intervals.get(measure, unknown)
            yield ScoreRow(
                arm=arm, classifier=classifier, site=ALL_SITES, part="test", measure=measure,
                value=getattr(scores, measure), low=low, high=high, examples=scores.examples,
            )  # fmt: skip
        if scores.validation is not None:
            yield from _summed(arm, classifier, ALL_SITES, "validation", scores.validation)
    for site, own in metrics.per_site.items():
        yield from _summed("federated", "booster", site, "test", own.federated)
        if own.alone is not None:
            yield from _summed(f"local_only.{site}", "booster", site, "test", own.alone)


def _summed(arm: str, classifier: str, site: str, part: str, summed: Summary) -> Iterator[ScoreRow]:
    for measure in ("accuracy", "macro_f1"):
        yield ScoreRow(
            arm=arm, classifier=classifier, site=site, part=part, measure=measure,
            value=getattr(summed, measure), low=None, high=None, examples=summed.examples,
        )  # fmt: skip


def _classes(metrics: RunMetrics) -> Iterator[ClassRow]:
    for arm, classifier, scores in _classified(metrics):
        for label, found in scores.per_class.items():
            yield ClassRow(
                arm=arm, classifier=classifier, label=label, examples=found.examples,
                sensitivity=found.sensitivity, specificity=found.specificity,
                precision=found.precision, f1=found.f1, auc=found.auc,
            )  # fmt: skip


def _confusion(metrics: RunMetrics) -> Iterator[ConfusionRow]:
    for arm, classifier, scores in _classified(metrics):
        for truth, row in zip(metrics.classes, scores.confusion, strict=True):
            for predicted, images in zip(metrics.classes, row, strict=True):
                yield ConfusionRow(
                    arm=arm, classifier=classifier, truth=truth, predicted=predicted, images=images
                )


def _phases(metrics: RunMetrics) -> Iterator[PhaseRow]:
    down, up, seconds = metrics.bytes_down, metrics.bytes_up, metrics.seconds
    places = dict.fromkeys(
        (phase, site)
        for costs in (down, up, seconds)
        for phase, by_site in costs.items()
        for site in by_site
    )
    for phase, site in places:
        yield PhaseRow(
            phase=phase, site=site, bytes_down=down.get(phase, {}).get(site),
            bytes_up=up.get(phase, {}).get(site), seconds=seconds.get(phase, {}).get(site),
        )  # fmt: skip


def _attendance(metrics: RunMetrics) -> Iterator[AttendanceRow]:
    for phase, rounds in metrics.participation.items():
        for held in rounds:
            for site, mark in held.sites.items():
                yield AttendanceRow(phase=phase, round=held.round, site=site, mark=mark)


def _images(metrics: RunMetrics) -> Iterator[ImageRow]:
    for site, held in metrics.data.items():
        for part, by_class in held.examples.items():
            for label, images in by_class.items():
                yield ImageRow(site=site, part=part, label=label, images=images)


def _seconds(metrics: RunMetrics) -> Iterator[SecondsRow]:
    for arm, seconds in metrics.arm_seconds.items():
        yield SecondsRow(arm=arm, seconds=seconds)
    if metrics.seconds_total is not None:
        yield SecondsRow(arm="total", seconds=metrics.seconds_total)
