"""A sweep as a picture: for each field, what its values came to on the validation images."""

import io
import json
import warnings
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from pydantic import JsonValue

from simulations.sweep.sweep import Trial

_STYLE = {"text.parse_math": False, "font.size": 9}
_FULL, _SHORT, _BEST = "#0072b2", "#999999", "#d55e00"  # Okabe and Ito (2008)
_ACROSS = 3
_WIDE = 10.0  # ends of a field that are so many times apart are drawn logarithmically


def draw(trials: Sequence[Trial]) -> bytes:
    """Return a PNG with a panel per field: a dot per trial, a star for the best.

    Args:
        trials: the best first; those without a score are left out.
    """
    shown = [trial for trial in trials if trial.score and trial.score.macro_f1 is not None]
    fields = list(trials[0].candidate.values)
    across = 2 if len(fields) == 4 else min(_ACROSS, len(fields))
    down = -(-len(fields) // across)
    drawn = io.BytesIO()
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(1.0 + 3.0 * across, 0.6 + 2.7 * down), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False, sharey=True)
        panels = list(grid.flat)
        for axes, field in zip(panels, fields, strict=False):
            _panel(axes, field, shown)
        for axes in panels[len(fields) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel("Macro F1, validation")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
        with warnings.catch_warnings():  # a value may be written in a script that the font lacks
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(drawn, format="png", dpi=150, metadata={"Software": None})
    return drawn.getvalue()


def _panel(axes: Axes, field: str, trials: Sequence[Trial]) -> None:
    values = [trial.candidate.values[field] for trial in trials]
    numbers = [value for value in values if _is_number(value)]
    if values and len(numbers) == len(values):
        places = [float(str(value)) for value in values]
        if min(places) > 0 and max(places) >= _WIDE * min(places):
            axes.set_xscale("log")
            finer = (1.0,) if max(places) >= 100 * min(places) else (1.0, 2.0, 5.0)
            axes.xaxis.set_major_locator(LogLocator(subs=finer))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.12)
    else:
        names = list(dict.fromkeys(map(_name, values)))
        places = [float(names.index(_name(value))) for value in values]
        axes.set_xticks(range(len(names)), [_cut(name) for name in names])
        axes.set_xlim(-0.5, max(len(names) - 0.5, 0.5))
    heights = [trial.score.macro_f1 or 0.0 for trial in trials if trial.score]
    told = list(zip(places, heights, (trial.divisor for trial in trials), strict=True))
    short = [(x, y) for x, y, divisor in told if divisor > 1]
    full = [(x, y) for x, y, divisor in told if divisor == 1]
    if short:
        axes.plot(*zip(*short, strict=True), "o", color=_SHORT, markerfacecolor="none",
                  markersize=5, label="fewer rounds")  # fmt: skip
    if full:
        axes.plot(*zip(*full, strict=True), "o", color=_FULL, alpha=0.75, markersize=5.5,
                  label="all rounds")  # fmt: skip
        axes.plot(*full[0], "*", color=_BEST, markersize=13, label="the best")
    axes.set_xlabel(field)
    axes.grid(axis="y", linewidth=0.4, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _cut(name: str) -> str:
    return name if len(name) < 16 else f"{name[:14]}…"
