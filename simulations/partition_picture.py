"""A partition drawn: which site holds how many images of which class, and how its images look."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from common.errors import DataError
from common.whole_file import write_whole
from server.report.colour_figure import Colours, draw_patches, draw_plane
from simulations.partition_file import Row

# Okabe and Ito (2008): told apart by colour-blind readers; hatched too, for print in black.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "+++", "---")
_NARROWEST = 0.05  # share of the longest bar in which a number still fits


def draw_partition(
    rows: Sequence[Row], colours: Colours, classes: Sequence[str], path: Path
) -> None:
    """Draw a bar per site, divided by class; patches of its colours; and these as places in a*, b*.

    Args:
        rows: divided.
        colours: by site and class.
        classes: in the study's order.
        path: the PNG.

    Raises:
        DataError: it cannot be written.
    """
    sites = list(colours)
    with mpl.rc_context({"text.parse_math": False, "font.size": 9, "hatch.linewidth": 0.5}):
        figure = Figure(figsize=(11, 1.8 + 0.45 * max(3, len(sites))), layout="constrained")
        bars, patches, plane = figure.subplots(1, 3, width_ratios=[4, 2.6, 3.4])
        counts = Counter((row["site"], row["label"]) for row in rows)
        ends = [0] * len(sites)
        for place, name in enumerate(classes):
            lengths = [counts[site, name] for site in sites]
            drawn = bars.barh(
                range(len(sites)), lengths, 0.7, left=ends, label=name, edgecolor="white",
                color=_COLOURS[place % len(_COLOURS)], hatch=_HATCHES[place % len(_HATCHES)],
            )  # fmt: skip
            least = _NARROWEST * max(Counter(row["site"] for row in rows).values())
            told = [f"{length}" if length > least else "" for length in lengths]
            bars.bar_label(drawn, told, label_type="center", fontsize=7, backgroundcolor="#fffc")
            ends = [end + length for end, length in zip(ends, lengths, strict=True)]
        bars.set_yticks(range(len(sites)), sites)
        bars.set_ylim(len(sites) - 0.5, -0.5)
        bars.set(xlabel="Images of all parts together")
        bars.spines[["top", "right"]].set_visible(False)
        bars.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=8)
        draw_patches(patches, colours, classes)
        patches.set_title("Mean colour", fontsize=9)
        draw_plane(plane, colours, classes, _COLOURS, "#555555")
        plane.legend(frameon=False, fontsize=8)
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150, metadata={"Software": None})
    try:
        write_whole(path, drawn.getvalue())
    except OSError as error:
        raise DataError(
            f"the picture cannot be written: {error.strerror}",
            fix="name another file, in a folder that exists and has room",
            local_detail=str(path),
        ) from error
