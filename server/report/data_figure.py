"""The figure of a report's data: which site holds how many images of which class."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from common.figures import SiteData
from common.held import summed
from server.report.figures import name_rows
from server.report.svg import INK, PAPER, SERIES, blank, inline, shortened, style

_MOST_CLASSES = len(SERIES)
_LINE = 58  # letters of a legend's line
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oooo", "++++")


def data_figure(sites: Mapping[str, SiteData], classes: Sequence[str]) -> Markup:
    """Draw a bar per site, divided by class; beside it, its images in all.

    Counts that a site does not tell have no length; the number beside the bar says so. Of more
    classes than can be told apart, those that come last are drawn as one.

    Args:
        sites: by name.
        classes: in the study's order.
    """
    drawn = _drawn(classes)
    told = []
    with style():
        columns = len(drawn) if sum(len(name) + 5 for name in drawn) < _LINE else 2
        figure = blank(0.75 + 0.18 * -(-len(drawn) // columns) + 0.34 * len(sites))
        axes = figure.add_subplot()
        ends = [0] * len(sites)
        for series, (label, names) in enumerate(drawn.items()):
            lengths = [summed([held], names).told for held in sites.values()]
            axes.barh(
                range(len(sites)), lengths, 0.62, left=ends, color=SERIES[series],
                hatch=_HATCHES[series], edgecolor=PAPER, linewidth=0.6, label=shortened(label),
            )  # fmt: skip
            ends = [end + length for end, length in zip(ends, lengths, strict=True)]
        for place, (site, held) in enumerate(sites.items()):
            _write_beside(axes, ends[place], place, f"{summed([held], classes)}")
            counts = ", ".join(f"{name} {summed([held], [name])}" for name in classes)
            told.append(f"{site}: {counts}")
        name_rows(axes, list(sites))
        axes.set_xlabel("Images of all parts together")
        axes.set_xlim(0, 1.18 * max(1, *ends))
        figure.legend(loc="outside upper left", ncols=columns, borderpad=0, handlelength=1.6)
        return inline(figure, "data", f"Images by site and class. {'; '.join(told)}")


def _drawn(classes: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return which classes each colour stands for."""
    if len(classes) <= _MOST_CLASSES:
        return {name: (name,) for name in classes}
    alone, rest = classes[: _MOST_CLASSES - 1], classes[_MOST_CLASSES - 1 :]
    return {**{name: (name,) for name in alone}, f"{len(rest)} further classes": tuple(rest)}


def _write_beside(axes: Any, end: int, place: int, text: str) -> None:
    axes.annotate(
        text, (end, place), (4, 0), textcoords="offset points", va="center", color=INK, fontsize=8
    )
