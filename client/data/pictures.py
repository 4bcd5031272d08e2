"""A dataset's pictures: bars of its counts, and a sheet of sample images."""

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from client.data.describe import Counts, Name
from client.data.manifest import Example
from client.data.tables import TOTAL
from common.errors import DataError
from common.imaging.decode import decode
from common.seeds import stream

# Okabe and Ito (2008): told apart by colour-blind readers; hatched too, for print in black.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "+++", "---")
_STYLE = {"text.parse_math": False, "font.size": 9, "hatch.linewidth": 0.5}
_DPI = 150


def draw_bars(counts: Counts, path: Path, title: str) -> None:
    """Draw a bar per class and column, with its number of images, as a PNG.

    Raises:
        DataError: it cannot be written.
    """
    classes = [name for name in counts.classes if name is not None]
    columns: Sequence[Name] = counts.columns[:-1] or counts.columns  # the total, if alone
    width = 0.84 / len(columns)
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(
            figsize=(1.6 + len(classes) * max(1.1, 0.42 * len(columns)), 3.6), layout="constrained"
        )
        axes = figure.add_subplot()
        for place, column in enumerate(columns):
            middles = np.arange(len(classes)) + (place - (len(columns) - 1) / 2) * width
            cells = [counts.cells[name, column] for name in classes]
            bars = axes.bar(
                middles, [cell.images for cell in cells], width * 0.94,
                label=f"{column or TOTAL} ({counts.cells[None, column].images})",
                color=_COLOURS[place % len(_COLOURS)], hatch=_HATCHES[place % len(_HATCHES)],
                edgecolor="white", linewidth=0,
            )  # fmt: skip
            axes.bar_label(bars, fontsize=7, padding=1)
        turned = 20 if max(map(len, classes), default=0) > 12 else 0
        axes.set_xticks(range(len(classes)), classes, rotation=turned)
        axes.set(ylabel="Images", title=title)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        axes.margins(y=0.12)
        _save(figure, path)


def draw_samples(
    examples: Sequence[Example], classes: Sequence[str], path: Path, of_each: int = 6
) -> None:
    """Draw a row of images per class, of as many groups as can be, as a PNG only its owner reads.

    No name, path or group is written in it. The same images are drawn every time.

    Raises:
        DataError: it cannot be written.
    """
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(1.25 * of_each + 0.8, 1.35 * len(classes)), layout="constrained")
        grid = figure.subplots(len(classes), of_each, squeeze=False)
        for row, name in enumerate(classes):
            chosen = _chosen([e for e in examples if e.label == row], of_each)
            for column in range(of_each):
                axes = grid[row, column]
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if column < len(chosen):
                    axes.imshow(_small(chosen[column]))
            grid[row, 0].set_ylabel(name)
        _save(figure, path, mode=0o600)


def _small(example: Example) -> Image.Image:
    """Return an image no larger than it is drawn: of many large ones, one is held at a time."""
    image = Image.fromarray(decode(example.image.read_bytes()))
    image.thumbnail((240, 240))
    return image


def _chosen(examples: Sequence[Example], count: int) -> list[Example]:
    """Draw images, a second one of a group only after one of every group."""
    order = stream(0, "samples").permutation(len(examples))
    seen: dict[str, int] = {}
    ranked = []
    for place, number in enumerate(order):
        example = examples[number]
        seen[example.group] = seen.get(example.group, 0) + 1
        ranked.append((seen[example.group], place, example))
    return [example for _, _, example in sorted(ranked, key=lambda one: one[:2])[:count]]


def _save(figure: Figure, path: Path, mode: int = 0o666) -> None:
    drawn = io.BytesIO()
    with warnings.catch_warnings():  # a class may be named in a script that the font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(drawn, format="png", dpi=_DPI, metadata={"Software": None})
    try:
        place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(place, "wb") as file:
            file.write(drawn.getvalue())
    except OSError as error:
        raise DataError(
            f"the picture cannot be written: {error.strerror}",
            fix="name another file, in a folder that exists and has room",
            local_detail=str(path),
        ) from error
