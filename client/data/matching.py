"""A laboratory table's lines and the image files that they name, brought together."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.laboratory import Record
from client.data.layouts.layout import Folder, Row, refuse
from common.imaging.decode import IMAGE_SUFFIXES

_BETWEEN = re.compile(r"[\\/]+")


@dataclass(frozen=True)
class Matched:
    """Images with what the table says of them, and the lines that could not be used."""

    rows: tuple[Row, ...]
    without_image: tuple[Record, ...]
    without_label: tuple[Record, ...]
    repeated: int  # lines that say again what another one says


def match(folder: Folder, records: Sequence[Record]) -> Matched:
    """Find each line's image by its file name, or by as many folders above it as the line names.

    The ending may be left out, and case does not count. Folders that the line names must be the
    image's: a path on another machine may be longer than the image's own, or shorter.

    Raises:
        DataError: a line names several images, or several lines say different things of one.
    """
    index: dict[str, list[Path]] = defaultdict(list)
    for image in folder.images:
        index[_folded(image.name)].append(image)
        index[_folded(image.stem)].append(image)
    rows: dict[Path, Row] = {}
    without_image, without_label = [], []
    ambiguous: list[str] = []
    contradicted: list[str] = []
    repeated = 0
    for record in records:
        named = record.cells["path"]
        found = _images_of(named, index) if named else []
        if len(found) > 1:
            ambiguous.append(f"line {record.line}: {named}: {', '.join(map(str, found))}")
        elif not found:
            without_image.append(record)
        elif not record.cells["label"]:
            without_label.append(record)
        else:
            columns = {name: cell for name, cell in record.cells.items()
                       if name not in ("path", "label") and cell}  # fmt: skip
            row = Row(found[0], record.cells["label"], columns)
            if rows.get(row.path, row) != row:
                contradicted.append(f"line {record.line}, and one above it: {row.path}")
            repeated += row.path in rows
            rows[row.path] = row
    if ambiguous:
        raise refuse(
            f"{len(ambiguous)} lines of the table name more than one image each",
            "let the table name the folder too, or name a folder in which file names are unique",
            ambiguous,
        )
    if contradicted:
        raise refuse(
            f"the table says different things of an image in {len(contradicted)} lines",
            "leave one line of each image in the table",
            contradicted,
        )
    return Matched(tuple(rows.values()), tuple(without_image), tuple(without_label), repeated)


def _images_of(named: str, index: dict[str, list[Path]]) -> list[Path]:
    parts = [_folded(part) for part in _BETWEEN.split(named) if part not in ("", ".")]
    if not parts:
        return []
    if Path(parts[-1]).suffix in IMAGE_SUFFIXES:
        found = [image for image in index.get(parts[-1], ()) if _folded(image.name) == parts[-1]]
    else:
        found = list(index.get(parts[-1], ()))
    fitting = [image for image in found if _fits(parts, _parts(image))]
    exact = [image for image in fitting if _parts(image)[:-1] == parts[:-1] and len(parts) > 1]
    return exact or fitting


def _fits(named: list[str], image: list[str]) -> bool:
    """Say whether the shorter list of folders is the end of the longer one."""
    common = min(len(named), len(image))
    return common == 1 or named[-common:-1] == image[-common:-1]


def _parts(image: Path) -> list[str]:
    return [_folded(part) for part in image.parts]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).casefold()
