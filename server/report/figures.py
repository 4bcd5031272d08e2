"""The figures of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from common.figures import CalibrationBin, CurvePoint, Interval, Number, SiteScores
from common.metrics import Scores
from server.report.rows import ArmRow
from server.report.svg import (
    DASHES,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    RULE,
    SERIES,
    blank,
    inline,
    shortened,
    style,
)
from server.report.words import number, span

_MOST_CURVES = len(SERIES)
_HOLLOW: dict[str, Any] = {"markerfacecolor": PAPER, "markeredgewidth": 1.4}


def arms_figure(rows: Sequence[ArmRow], measure: str, label: str) -> Markup:
    """Draw every arm's figure with its interval; a dashed line marks the federated booster.

    Args:
        rows: the arms, the federated one first.
        measure: `macro_f1`, `accuracy` or `macro_auc`.
        label: the measure in words.
    """
    told = []
    with style():
        figure = blank(0.7 + 0.34 * len(rows))
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            pair = ((row.scores, -0.12, 0), (row.softmax, 0.16, 1))
            for scores, shift, series in pair:
                if scores is None:
                    continue
                value, interval = getattr(scores, measure), getattr(scores.interval, measure)
                at = place + (shift if row.softmax else 0)
                _dot(axes, value, interval, at, series)
                if series == 0:
                    told.append(f"{row.name} {number(value)}{span(interval)}")
        ours = getattr(rows[0].scores, measure)
        if ours is not None:
            axes.axvline(ours, color=MUTED, linestyle="--", linewidth=0.9, zorder=0.5)
        name_rows(axes, [row.name for row in rows])
        axes.set_xlabel(label)
        right = axes.get_xlim()[1]
        axes.set_xlim(right=min(right, 1.015))
        axes.plot([], [], MARKERS[0], color=SERIES[0], label="booster or baseline")
        axes.plot([], [], MARKERS[1], color=SERIES[1], label="softmax head", **_HOLLOW)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, borderpad=0)
        return inline(figure, f"arms-{measure}", f"{label} with 95 % intervals: {'; '.join(told)}")


def roc_figure(scores: Scores) -> Markup | None:
    """Draw one ROC per class; of many classes, those of lowest AUC. None if there is none."""
    known = {name: one for name, one in scores.per_class.items() if one.roc is not None}
    chosen = sorted(known, key=lambda name: known[name].auc or 0.0)[:_MOST_CURVES]
    if not chosen:
        return None
    lines, labels = [], []
    with style():
        figure = blank(3.9 + 0.2 * ((len(chosen) + 1) // 2))
        axes = figure.add_subplot()
        for series, name in enumerate(sorted(chosen, key=list(known).index)):
            curve = known[name].roc
            if curve is not None:
                lines += axes.plot(
                    curve.false_positive_rate,
                    curve.true_positive_rate,
                    color=SERIES[series],
                    linestyle=DASHES[series],
                )
                labels.append(f"{shortened(name)}  {number(known[name].auc)}")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
        axes.set(xlabel="1 \N{MINUS SIGN} specificity", ylabel="Sensitivity")
        axes.set(xlim=(-0.01, 1), ylim=(0, 1.01))
        figure.legend(
            lines, labels, loc="outside upper left", ncols=2, borderpad=0, handlelength=3.2,
            title="AUC, one against the rest", title_fontsize=8, alignment="left",
        )  # fmt: skip
        told = "; ".join(f"{name} AUC {number(known[name].auc)}" for name in chosen)
        return inline(figure, "roc", f"ROC of each class against the rest: {told}")


def reliability_figure(booster: Scores, softmax: Scores) -> Markup:
    """Draw accuracy against confidence, and below how many predictions were how confident."""
    with style():
        figure = blank(3.9)
        above, below = figure.subplots(2, 1, height_ratios=[3.4, 1], sharex=True)
        above.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
        pair = (("booster", booster), ("softmax head", softmax))
        for series, (name, scores) in enumerate(pair):
            bins = [one for one in scores.calibration if one.count]
            above.plot(
                [one.confidence for one in bins],
                [one.accuracy for one in bins],
                marker=MARKERS[series],
                color=SERIES[series],
                linestyle=DASHES[series],
                label=f"{name}, ECE {number(scores.ece)}",
                **(_HOLLOW if series else {}),
            )
        above.set(ylabel="Share that was right", ylim=(-0.03, 1.03), xlim=(0, 1.01))
        figure.legend(loc="outside upper left", ncols=2, borderpad=0)
        _confidences(below, booster.calibration)
        told = f"booster ECE {number(booster.ece)}, softmax head ECE {number(softmax.ece)}"
        return inline(figure, "reliability", f"Accuracy against confidence: {told}")


def sites_figure(sites: Mapping[str, SiteScores]) -> Markup:
    """Draw each site's macro F1 under the federated model and, if any has one, under its own."""
    told = []
    has_alone = any(scores.alone for scores in sites.values())
    with style():
        figure = blank(0.85 + 0.3 * len(sites))
        axes = figure.add_subplot()
        for place, (site, scores) in enumerate(sites.items()):
            together = scores.federated.macro_f1
            alone = None if scores.alone is None else scores.alone.macro_f1
            if together is not None and alone is not None:
                axes.plot([alone, together], [place, place], color=MUTED, linewidth=1, zorder=1)
            for series, value in enumerate((together, alone)):
                _dot(axes, value, (None, None), place, series)
            own = f", alone {number(alone)}" if has_alone else ""
            told.append(f"{site} federated {number(together)}{own}")
        name_rows(axes, list(sites))
        axes.set_xlabel("Macro F1 on the site's own test images")
        axes.set_xlim(right=min(axes.get_xlim()[1], 1.015))
        axes.plot([], [], MARKERS[0], color=SERIES[0], label="federated model")
        if has_alone:
            axes.plot([], [], MARKERS[1], color=SERIES[1], label="own model alone", **_HOLLOW)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, borderpad=0)
        return inline(figure, "sites", f"Macro F1 by site: {'; '.join(told)}")


def curves_figure(phase: str, points: Sequence[CurvePoint]) -> Markup:
    """Draw losses, and validation accuracy if there is one, over a phase's rounds."""
    is_validated = any(point.validation_accuracy is not None for point in points)
    done = [point.round for point in points]
    before = [number - 1 for number in done]  # validation is of the model that a round starts from
    with style():
        figure = blank(3.6 if is_validated else 2.4)
        rows = 2 if is_validated else 1
        every = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
        _line(every[0], done, [p.loss for p in points], 0, "training")
        if any(point.validation_loss is not None for point in points):
            _line(every[0], before, [p.validation_loss for p in points], 1, "validation")
        every[0].set_ylabel("Loss (nats)")
        every[0].set_ylim(bottom=0)
        every[0].legend(loc="best")
        if is_validated:
            _line(every[1], before, [p.validation_accuracy for p in points], 2, "")
            every[1].set_ylabel("Validation accuracy")
        _mark_stages(every, points)
        every[-1].set_xlabel("Rounds done")
        every[-1].set_xlim(before[0] - 0.2, done[-1] + 0.2)
        every[-1].xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
        last = points[-1]
        told = (
            f"{phase}: training loss from {number(points[0].loss)} to {number(last.loss)} over"
            f" {len(points)} rounds; validation accuracy last {number(last.validation_accuracy)}"
        )
        return inline(figure, f"curve-{phase}", told)


def cost_figure(name: str, label: str, columns: Mapping[str, Mapping[str, float]]) -> Markup:
    """Draw horizontal bars: phases, with one bar per column.

    Args:
        name: of the figure on its page.
        label: what is counted, with its unit.
        columns: by name, the amount of each phase.
    """
    phases = list(dict.fromkeys(phase for amounts in columns.values() for phase in amounts))
    width = 0.7 / len(columns)
    with style():
        figure = blank(0.85 + 0.36 * len(phases))
        axes = figure.add_subplot()
        for index, (column, amounts) in enumerate(columns.items()):
            places = [
                place + (index - (len(columns) - 1) / 2) * width for place in range(len(phases))
            ]
            axes.barh(
                places,
                [amounts.get(phase, 0) for phase in phases],
                width,
                color=SERIES[index],
                hatch=("", "////")[index % 2],
                edgecolor=PAPER,
                linewidth=0,
                label=column,
            )
        name_rows(axes, phases)
        axes.set_xlabel(label)
        if len(columns) > 1:
            figure.legend(loc="outside upper left", ncols=2, borderpad=0)
        told = "; ".join(
            f"{phase} {column} {amounts.get(phase, 0):.3g}"
            for phase in phases
            for column, amounts in columns.items()
        )
        return inline(figure, name, f"{label} by phase: {told}")


def _dot(axes: Any, value: Number, interval: Interval, place: float, series: int) -> None:
    if value is None:
        return
    low, high = interval
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=SERIES[series], linewidth=1.5)
    hollow = _HOLLOW if series else {}
    axes.plot(value, place, MARKERS[series], color=SERIES[series], zorder=3, **hollow)


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Write names beside horizontal rows, the first above."""
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _line(
    axes: Any, rounds: Sequence[int], values: Sequence[Number], series: int, name: str
) -> None:
    known = [(r, v) for r, v in zip(rounds, values, strict=True) if v is not None]
    axes.plot(
        [r for r, _ in known],
        [v for _, v in known],
        color=SERIES[series],
        linestyle=DASHES[series],
        marker=MARKERS[series],
        label=name,
        **(_HOLLOW if series else {}),
    )


def _mark_stages(every: Sequence[Any], points: Sequence[CurvePoint]) -> None:
    """Part the stages by lines in all axes, each stage named above the first."""
    starts = [
        index
        for index, point in enumerate(points)
        if index == 0 or point.stage != points[index - 1].stage
    ]
    if len(starts) < 2:
        return
    for index in starts:
        start = points[index].round - 1
        for axes in every if index else ():
            axes.axvline(start, color=MUTED, linestyle=":", linewidth=0.9)
        every[0].annotate(
            points[index].stage, (start, 1), (3, 2), xycoords=("data", "axes fraction"),
            textcoords="offset points", color=MUTED, fontsize=7.5, annotation_clip=False,
        )  # fmt: skip


def _confidences(axes: Any, bins: Sequence[CalibrationBin]) -> None:
    axes.bar(
        [one.low for one in bins],
        [one.count for one in bins],
        [one.high - one.low for one in bins],
        align="edge",
        color=SERIES[0],
        edgecolor=PAPER,
        linewidth=0.5,
    )
    axes.set(xlabel="Confidence: the largest probability", ylabel="Images\n(booster)")
    axes.tick_params(axis="y", labelcolor=MUTED)
    axes.spines["left"].set_color(RULE)
    axes.yaxis.label.set_color(INK)
