"""How every figure of the report looks, and how it becomes SVG inside a page.

Ink and paper are written as CSS variables, so that one drawing reads in a light and a dark page
and on paper. Series have colours that differ also to the colour-blind (Okabe and Ito 2008), and
besides a marker, a dash and a hatch of their own.
"""

import io
import re
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#010203", "#020304", "#030405", "#040506"
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", PAPER: "--card"}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---")
_POINTS = 72  # to the inch; one point of a figure is one pixel of the page
_LARGEST = 1.15  # a page shows a figure at most this much larger than drawn
_SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "font.size": 10.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.color": PAPER,
    "hatch.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.color": INK,
    "ytick.major.size": 0,
}


class Sheet:
    """One figure while it is drawn: a context in which our settings hold.

    Args:
        name: unique on the page; the SVG's inner names derive from it.
        width: pixels.
        height: pixels.
        heights: relative heights of the axes, from top to bottom.
    """

    def __init__(
        self, name: str, width: int, height: int, heights: tuple[float, ...] = (1,)
    ) -> None:
        self.name = name
        self._context = rc_context({**_SETTINGS, "svg.hashsalt": name})
        self._size = (width / _POINTS, height / _POINTS)
        self._heights = heights

    def __enter__(self) -> "Sheet":
        self._context.__enter__()
        self.figure = Figure(figsize=self._size, layout="constrained")
        grid = self.figure.add_gridspec(len(self._heights), height_ratios=self._heights)
        self.axes: list[Axes] = [
            self.figure.add_subplot(grid[row]) for row in range(len(self._heights))
        ]
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)

    def svg(self, label: str) -> Markup:
        """Return the drawing as an `<svg>` element that a screen reader announces as `label`."""
        out = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.figure.savefig(out, format="svg", metadata=nothing)
        return _inline(out.getvalue(), self.name, label)


def _inline(document: str, name: str, label: str) -> Markup:
    """Take the element out of its document, with names of its own and the page's colours."""
    svg = document[document.index("<svg") :]
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0]
    body = svg[svg.index(">") + 1 :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    head = (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" '
        f'style="max-width:{float(width) * _LARGEST:.0f}px">'
    )
    return Markup(head + body)
