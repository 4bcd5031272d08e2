"""How doubtful labels look: as a table, as CSV and as tiles of a contact sheet."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from client.data.manifest import Example
from client.quality.confidence import Suspect
from client.quality.sheet import Tile, within
from common.plain_text import one_line

_COLUMNS = ("path", "label", "predicted", "label_probability", "predicted_probability")
_MOST_TILES = 96


def suspects_table(
    found: Sequence[Suspect], examples: Sequence[Example], classes: Sequence[str], root: Path
) -> Table:
    """Return a table of suspects: image, label, what was predicted, and how surely."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("image", overflow="fold")
    for column in ("label", "predicted"):
        shown.add_column(column)
    for one in found:
        shown.add_row(
            Text(one_line(within(examples[one.number].image, root))),
            f"{classes[one.given]} ({one.given_probability:.2f})",
            f"{classes[one.likely]} ({one.likely_probability:.2f})",
        )
    return shown


def suspects_csv(
    found: Sequence[Suspect], examples: Sequence[Example], classes: Sequence[str], root: Path
) -> str:
    """Return the suspects as CSV, the most doubtful first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in found:
        writer.writerow([
            within(examples[one.number].image, root), classes[one.given], classes[one.likely],
            f"{one.given_probability:.4f}", f"{one.likely_probability:.4f}",
        ])  # fmt: skip
    return text.getvalue()


def suspects_tiles(
    found: Sequence[Suspect], examples: Sequence[Example], classes: Sequence[str]
) -> list[Tile]:
    """Return the tiles of a contact sheet."""
    return [
        Tile(
            examples[one.number].image,
            (
                f"{classes[one.given]} -> {classes[one.likely]}",
                f"{one.given_probability:.2f} -> {one.likely_probability:.2f}",
                "/".join(examples[one.number].image.parts[-2:]),
            ),
        )
        for one in found[:_MOST_TILES]
    ]
