"""Rows of images made into the text of a manifest."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.layouts.layout import Folder, Row
from client.data.places import check_names
from common.errors import DataError
from common.study.data import GROUP_ORDER

_SHOWN = 20


@dataclass(frozen=True)
class Listing:
    """A manifest CSV, and what is in it."""

    text: str
    labels: Mapping[str, int]  # images per label
    filled: Mapping[str, int]  # images per grouping column that tells something of them
    images_left_out: tuple[Path, ...]  # images in the folder that are not listed
    others: int  # files that are no images, dotfiles apart


def listing(
    folder: Folder, rows: Iterable[Row], source: str, relative_to: Path | None = None
) -> Listing:
    """Write rows as a manifest, sorted by path.

    Args:
        folder: the images'.
        rows: an image each.
        source: where they come from: a layout's name, or `table`.
        relative_to: where the manifest will lie, above every image; by default the folder.

    Raises:
        DataError: there are no rows; an image comes twice; a name cannot be written; or images
            lie outside `relative_to`.
    """
    ordered = sorted(rows, key=lambda row: row.path)
    check_names([row.path for row in ordered])
    if not ordered:
        raise DataError(
            "no line of the table names an image in the folder, and its label"
            if source == "table"
            else f"no image lies as in the layout {source}",
            fix="name the folder that holds the images"
            + ("" if source == "table" else ", or another layout with --layout"),
            local_detail=f"{folder.path}: {len(folder.images)} images, {len(folder.files)} files",
        )
    twice = [path for path, n in Counter(row.path for row in ordered).items() if n > 1]
    if twice:
        raise DataError(
            f"{len(twice)} images are named more than once by the {source}",
            fix="remove the second mention of each",
            local_detail="\n".join(map(str, twice[:_SHOWN])),
        )
    root, top = (relative_to or folder.path).resolve(), folder.path.resolve()
    if not top.is_relative_to(root):
        raise DataError(
            "the manifest would not lie above its images",
            fix="write it to the image folder or to a folder above it",
            local_detail=f"{root} is not above {top}",
        )
    columns = _columns(ordered)
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "label", *columns])
    for row in ordered:
        path = (top / row.path).relative_to(root).as_posix()
        table.writerow([path, row.label, *(row.columns.get(name, "") for name in columns)])
    listed = {row.path for row in ordered}
    return Listing(
        text.getvalue(),
        dict(sorted(Counter(row.label for row in ordered).items())),
        {name: sum(bool(row.columns.get(name)) for row in ordered) for name in GROUP_ORDER},
        tuple(image for image in folder.images if image not in listed),
        len(folder.files) - len(folder.images),
    )


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return the further columns that at least one row fills: those that group come first."""
    names = {name for row in rows for name, value in row.columns.items() if value}
    groups = [name for name in GROUP_ORDER if name in names]
    return [*groups, *sorted(names - set(groups))]
