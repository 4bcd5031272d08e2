"""A dataset's tables, on the screen and as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from client.data.describe import Counts, Files, Name
from common.plain_text import one_line

TOTAL = "total"
_SIZES = 5  # listed; the rest is told by its range
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def screen_table(counts: Counts, title: str) -> Table:
    """Lay out images, groups and share of every class and column."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False,
        caption="images, groups, % of the column's images (last row: of all)",
        caption_justify="left",
    )  # fmt: skip
    table.add_column("class", overflow="fold")
    for column in counts.columns:
        table.add_column(Text(_told(column)), justify="right", no_wrap=True)
    images, groups = (
        max(len(str(getattr(cell, what))) for cell in counts.cells.values())
        for what in ("images", "groups")
    )
    for name in counts.classes:
        cells = [counts.cells[name, column] for column in counts.columns]
        table.add_row(
            Text(_told(name)),
            *(f"{c.images:{images}d} {c.groups:{groups}d} {100 * c.share:5.1f}" for c in cells),
            style="bold" if name is None else "",
        )
    return table


def file_lines(files: Files, excluded: Mapping[str, int]) -> Iterator[str]:
    """Tell formats, sizes, and what was left out."""
    yield "formats: " + ", ".join(f"{n} {kind}" for kind, n in files.formats.items())
    shown = list(files.sizes.items())[:_SIZES]
    text = ", ".join(f"{n} of {width} x {height}" for (width, height), n in shown)
    others = list(files.sizes)[_SIZES:]
    if others:
        widths, heights = zip(*others, strict=True)
        rest = sum(files.sizes[size] for size in others)
        text += (
            f", {rest} of {len(others)} further sizes, {min(widths)} to {max(widths)} wide and "
            f"{min(heights)} to {max(heights)} high"
        )
    yield f"pixels:  {text}"
    left_out = ", ".join(f"{n} {reason}" for reason, n in sorted(excluded.items()))
    yield f"left out: {left_out or 'none'}"


def table_csv(tables: Mapping[str, Counts]) -> str:
    """Write one line per cell: what the columns are, column, class, images, groups, percent.

    Args:
        tables: by what their columns are, for example `part`.
    """
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["by", "column", "class", "images", "groups", "percent"])
    for by, counts in tables.items():
        for (name, column), cell in counts.cells.items():
            lines.writerow(
                [by, _as_text(_told(column)), _as_text(_told(name)), cell.images, cell.groups,
                 f"{100 * cell.share:.2f}"]
            )  # fmt: skip
    return text.getvalue()


def _told(name: Name) -> str:
    return TOTAL if name is None else one_line(name)


def _as_text(cell: str) -> str:
    """Keep a spreadsheet from working out a name that begins like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
