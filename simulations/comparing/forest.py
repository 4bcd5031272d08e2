"""The forest plot of a comparison: every arm's figure, and its difference from the first arm's."""

from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.figures import Interval, Number
from server.report.figures import name_rows
from server.report.svg import MUTED, PAPER, PRINTED, SERIES, inline, style
from simulations.comparing.account import Comparison
from simulations.comparing.words import difference, figure

_WIDTH = 8.2  # inches
_METRIC = "macro_f1"


def forest(found: Comparison, *, printed: bool) -> Figure:
    """Draw macro F1 on the left, and on the right how much lower or higher than the first arm's.

    A filled mark differs from the first arm; a hollow one cannot be told from it.

    Args:
        found: the comparison.
        printed: in colours of its own, not the page's.
    """
    ours, theirs, muted, paper = (
        PRINTED[shade] if printed else shade for shade in (SERIES[0], SERIES[1], MUTED, PAPER)
    )
    with style(printed=printed):
        made = Figure(figsize=(_WIDTH, 0.95 + 0.3 * len(found.arms)), layout="constrained")
        left, right = made.subplots(1, 2, sharey=True)
        for place, (name, arm) in enumerate(found.arms.items()):
            _mark(left, arm.macro_f1.mean, arm.macro_f1.interval, place, ours, ours)
            gain = found.against_reference(name, _METRIC)
            if gain is not None and gain.mean is not None:
                low, high = gain.interval
                turned = (-high if high is not None else None, -low if low is not None else None)
                inside = theirs if gain.distinguishable else paper
                _mark(right, -gain.mean, turned, place, theirs, inside)
        reference = next(iter(found.arms.values())).macro_f1.mean
        if reference is not None:
            left.axvline(reference, color=muted, linestyle="--", linewidth=0.9, zorder=0.5)
        right.axvline(0, color=muted, linestyle="--", linewidth=0.9, zorder=0.5)
        for axes in (left, right):  # else figures of three decimals run into each other
            axes.xaxis.set_major_locator(MaxNLocator(5))
        name_rows(left, list(found.arms))
        right.grid(visible=False, axis="y")
        right.tick_params(axis="y", length=0, labelleft=False)
        left.set_xlabel("Macro F1, 95 % interval")
        left.set_xlim(right=min(left.get_xlim()[1], 1.005))
        right.set_xlabel(f"Minus {found.reference}; hollow: not distinguishable")
    return made


def drawn(found: Comparison) -> Markup:
    """Return the plot for a page."""
    told = "; ".join(f"{name} {figure(arm.macro_f1)}" for name, arm in found.arms.items())
    gains = "; ".join(
        f"{found.reference} minus {one.b} {difference(one.mean, one.interval)}"
        for one in found.differences
        if one.a == found.reference and one.metric == _METRIC
    )
    plot = forest(found, printed=False)
    return inline(plot, "forest", f"Macro F1 with 95 % intervals: {told}. {gains}")


def _mark(
    axes: Any, value: Number, interval: Interval, place: int, colour: str, inside: str
) -> None:
    if value is None:
        return
    low, high = interval
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, linewidth=1.5)
    axes.plot(value, place, "o", color=colour, markerfacecolor=inside, zorder=3)
