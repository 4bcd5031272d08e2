"""Matplotlib figures as inline SVG that takes its colours and letters from the page."""

import re
import warnings
from io import StringIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# Drawn in these, replaced by the page's CSS variables of the same name, which differ by light,
# dark and print. The series are Okabe and Ito's (2008), told apart by colour-blind readers.
_SHADES = {
    name: f"#0102{index:02x}"
    for index, name in enumerate(("ink", "muted", "rule", "paper", *(f"s{i}" for i in range(1, 8))))
}
INK, MUTED, RULE, PAPER = (_SHADES[name] for name in ("ink", "muted", "rule", "paper"))
SERIES = tuple(_SHADES[f"s{i}"] for i in range(1, 8))
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

PRINTED = {
    INK: "#1c2024", MUTED: "#5a626b", RULE: "#d5dae0", PAPER: "#ffffff",
    **dict(zip(SERIES, ("#0072b2", "#d55e00", "#007a5a", "#a85c8c", "#b57900", "#3a8fc4",
                        "#1c2024"), strict=True)),
}  # fmt: skip
"""The colours of the page's light mode, for figures in files of their own."""

_WIDTH = 4.6  # inches; 440 CSS pixels at its natural size
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class or site may be named with a dollar sign
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "hatch.color": PAPER,
    "hatch.linewidth": 1.0,
}


def style(*, printed: bool = False) -> Any:
    """Return the context in which a page's figures are made, or those of files of their own."""
    if not printed:
        return mpl.rc_context(_STYLE)
    return mpl.rc_context(
        {key: PRINTED.get(value, value) if isinstance(value, str) else value
         for key, value in _STYLE.items()} | {"figure.facecolor": PRINTED[PAPER]}
    )  # fmt: skip


def blank(height: float) -> Figure:
    """Start a figure of the page's width, `height` inches high."""
    return Figure(figsize=(_WIDTH, height), layout="constrained")


def shortened(text: str, limit: int = 22) -> str:
    """Cut a name to what fits beside an axis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def inline(figure: Figure, name: str, description: str) -> Markup:
    """Write a figure as an SVG element; the same figure gives the same characters.

    Args:
        figure: made within `style()`.
        name: of this figure alone on its page; its element ids begin with it.
        description: what a reader who cannot see it is told.
    """
    written = StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser has letters, of other scripts too, that matplotlib's font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", lambda tag: _adapted(tag[0], name), body)
    opening = body.index(">") + 1
    box = re.search(r'viewBox="[^"]*"', body[:opening])
    head = f'<svg role="img" aria-label="{escape(description)}" {box[0] if box else ""}>'
    return Markup(head + body[opening:].strip())


def _adapted(tag: str, name: str) -> str:
    """Fit one tag to the page; the letters between tags, which may say anything, stay."""
    tag = re.sub(r'<g id="[^"]*"', "<g", tag)
    tag = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", tag)
    # Matplotlib before 3.11 writes `font: 9px families`.
    tag = re.sub(r"font: ?([^;\"]*?)px [^;\"]*", r"font-size: \1px", tag)
    tag = re.sub(r"font-family: [^;\"]*(; )?", "", tag)
    for shade, colour in _SHADES.items():
        tag = tag.replace(colour, f"var(--{shade})")
    return tag
