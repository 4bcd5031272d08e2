"""The figures of how a run went: losses by round, bytes and seconds by phase and site."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, MaxNLocator

from common.figures import CurvePoint
from server.report.drawing import COLOURS, HATCHES, MUTED, PAPER, Sheet
from server.report.text import figure

_ROW = 30  # pixels of one phase


def curve_plot(phase: str, points: Sequence[CurvePoint]) -> Markup:
    """Draw a phase's losses and validation accuracy.

    A round's validation figures are of the model that it started from, so they stand at the
    number of rounds done by then.
    """
    held = [p for p in points if p.validation_accuracy is not None or p.validation_loss is not None]
    heights = (1.6, 1) if held else (1,)
    with Sheet(f"curve-{phase}", 360, 320 if held else 220, heights=heights) as sheet:
        top, bottom = sheet.axes[0], sheet.axes[-1]
        done = [p.round - 1 for p in held]
        top.plot(
            [p.round for p in points], [_drawn(p.loss) for p in points], "o-", color=COLOURS[0],
            markersize=5, label="training",
        )  # fmt: skip
        if held:
            top.plot(
                done, [_drawn(p.validation_loss) for p in held], "s--", color=COLOURS[1],
                markersize=5, label="validation",
            )  # fmt: skip
            bottom.plot(
                done, [_drawn(p.validation_accuracy) for p in held], "s--", color=COLOURS[1],
                markersize=5,
            )  # fmt: skip
            bottom.set(ylabel="Accuracy")
        for axes in sheet.axes:
            axes.set_xlim(min(p.round for p in points) - 1.3, max(p.round for p in points) + 0.3)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
        _mark_stages(sheet, points)
        top.legend(loc="upper right")
        top.set(ylabel="Loss, nats", title=phase.capitalize())
        bottom.set(xlabel="Rounds done")
        return sheet.svg(_spoken(phase, points))


def _drawn(value: float | None) -> float:
    return float("nan") if value is None else value


def _mark_stages(sheet: Sheet, points: Sequence[CurvePoint]) -> None:
    """Draw a line where another part of the model begins to be trained."""
    stages = [(stage, list(group)) for stage, group in groupby(points, key=lambda p: p.stage)]
    for stage, group in stages[1:]:
        at = group[0].round - 0.5
        for axes in sheet.axes:
            axes.axvline(at, color=MUTED, linewidth=1, linestyle=":")
        sheet.axes[0].text(
            at, 0.02, f" {stage}", color=MUTED, va="bottom",
            transform=sheet.axes[0].get_xaxis_transform(),
        )  # fmt: skip


def _spoken(phase: str, points: Sequence[CurvePoint]) -> str:
    first, last = points[0], points[-1]
    text = f"{phase}: training loss from {figure(first.loss)} to {figure(last.loss)}"
    if last.validation_accuracy is not None:
        text += f", validation accuracy {figure(last.validation_accuracy)} before the last round"
    return f"{text}, over {len(points)} rounds."


def cost_plot(
    name: str, title: str, unit: str, scale: float, cost: Mapping[str, Mapping[str, float]]
) -> Markup:
    """Draw what each phase cost, stacked by site.

    Args:
        name: unique on the page.
        title: of the figure.
        unit: of the axis.
        scale: how many of `cost`'s units make one of the axis.
        cost: by phase and site.
    """
    phases = [phase for phase, by_site in cost.items() if by_site]
    sites = sorted({site for by_site in cost.values() for site in by_site})
    with Sheet(f"cost-{name}", 360, 130 + _ROW * len(phases)) as sheet:
        axes = sheet.axes[0]
        left = [0.0] * len(phases)
        for place, site in enumerate(sites):
            widths = [cost[phase].get(site, 0) / scale for phase in phases]
            axes.barh(
                range(len(phases)), widths, left=left, height=0.62, label=site,
                color=COLOURS[place % len(COLOURS)], hatch=HATCHES[place % len(HATCHES)],
                edgecolor=PAPER, linewidth=0.8,
            )  # fmt: skip
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(phases)), phases)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(xlabel=unit, title=title)
        if 1 < len(sites) <= len(COLOURS):
            sheet.figure.legend(loc="outside lower center", ncols=3)
        total = "; ".join(
            f"{phase} {amount:.3g} {unit}" for phase, amount in zip(phases, left, strict=True)
        )
        return sheet.svg(f"{title} by phase and site. {total}.")
