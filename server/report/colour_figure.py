"""The figure of a simulation's colours: how the images of each virtual site look."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from common.division import Colour
from server.report.figures import name_rows
from server.report.svg import MARKERS, MUTED, SERIES, blank, inline, shortened, style

Colours = Mapping[str, Mapping[str, Colour]]


def colour_figure(colours: Colours, classes: Sequence[str]) -> Markup:
    """Draw each site's mean colours: as patches, and as places in the plane of a* and b*.

    Args:
        colours: by site and class.
        classes: in the study's order.
    """
    with style():
        figure = blank(1.0 + 0.3 * len(colours) + 2.6)
        above, below = figure.subplots(2, 1, height_ratios=[1 + len(colours), 9])
        draw_patches(above, colours, classes)
        draw_plane(below, colours, classes, SERIES, MUTED)
        below.legend(loc="center left", bbox_to_anchor=(1, 0.5), borderpad=0)
        told = "; ".join(
            f"{site} {name} L* {c.lab[0]:.0f}, a* {c.lab[1]:.0f}, b* {c.lab[2]:.0f}"
            for site, own in colours.items()
            for name, c in own.items()
        )
        return inline(figure, "colours", f"Mean colour of images by site and class: {told}")


def draw_patches(axes: Any, colours: Colours, classes: Sequence[str]) -> None:
    """Draw a patch of the mean colour for each site, a row, and class, a column."""
    for row, own in enumerate(colours.values()):
        for name, colour in own.items():
            shade = tuple(level / 255 for level in colour.rgb)
            axes.barh(row, 0.94, 0.9, left=classes.index(name) - 0.47, color=shade)
    name_rows(axes, list(colours))
    axes.set_xticks(range(len(classes)), [shortened(name, 14) for name in classes])
    axes.set_xlim(-0.5, len(classes) - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def draw_plane(
    axes: Any, colours: Colours, classes: Sequence[str], series: Sequence[Any], grey: Any
) -> None:
    """Draw a point for each site and class: the site's colour and mark, the class's first letters.

    Args:
        axes: of matplotlib.
        colours: by site and class.
        classes: in the study's order.
        series: colours of sites, used again where there are more sites.
        grey: colour of the letters.
    """
    for place, (site, own) in enumerate(colours.items()):
        known = [(name, own[name].lab) for name in classes if name in own]
        axes.plot(
            [lab[1] for _, lab in known], [lab[2] for _, lab in known],
            MARKERS[place % len(MARKERS)], color=series[place % len(series)],
            label=shortened(site, 14),
        )  # fmt: skip
        for name, lab in known:
            axes.annotate(
                name[:5], lab[1:], (4, 3), textcoords="offset points", color=grey, fontsize=7
            )
    axes.set(xlabel="a* (green to red)", ylabel="b* (blue to yellow)")
    axes.margins(0.12)
