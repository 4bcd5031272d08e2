"""A site's manifest: one CSV line per image, read and checked once (docs/data.md)."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from client.data.groups import join_groups
from common.errors import DataError
from common.study.data import GROUP_ORDER, GroupColumn

_DELIMITERS = (",", ";", "\t")
_LISTED = 200  # faulty lines shown at home; the rest is counted
_SEE = "see docs/data.md, section Manifest"


@dataclass(frozen=True)
class Example:
    """One image with its label."""

    image: Path
    label: int
    group: str  # what must not be split: patient, else slide, stain cluster, field
    patient: str | None = None
    slide: str | None = None
    stain_cluster: str | None = None
    field: str | None = None
    split: str | None = None  # as the manifest says
    digest: str = ""  # SHA-256 of the file's bytes; empty until `client.data.scan.scan`


@dataclass(frozen=True)
class Manifest:
    """The images that a site offers, in the order of its file."""

    path: Path
    examples: tuple[Example, ...]
    grouped_by: str  # a manifest column, or "image" where no column fills every row


@dataclass
class _Faults:
    """Kinds of fault, counted, and the lines where they are."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def add(self, kind: str, line: int, value: str = "") -> None:
        self.counts[kind] += 1
        if len(self.lines) < _LISTED:
            self.lines.append(f"line {line}: {kind} {value}".rstrip())

    def listing(self) -> str:
        more = self.counts.total() - len(self.lines)
        return "\n".join([*self.lines, *([f"and {more} more"] if more else [])])


def read_manifest(
    path: Path,
    classes: Sequence[str],
    group_order: Sequence[GroupColumn] = GROUP_ORDER,
    *,
    only: Mapping[str, str] | None = None,
    joined_by: Sequence[GroupColumn] = (),
) -> Manifest:
    """Read and check a manifest.

    Args:
        path: the CSV file; image paths in it are relative to its folder.
        classes: the study's classes; an example's label is an index into them.
        group_order: the group is the first of these columns that every row fills.
        only: keep the rows that have these values in these columns.
        joined_by: columns whose shared values join groups as well.

    Raises:
        DataError: the file cannot be read, lacks a column or rows, or has faulty lines: an unknown
            label, an image that is missing, listed twice, or outside the manifest's folder.
            All faults come in one error, counted in `problem`, listed in `local_detail`.
    """
    rows = [
        (line, row)
        for line, row in _rows(path)
        if all(row.get(name.lower()) == value for name, value in (only or {}).items())
    ]
    if not rows:
        raise DataError(
            "the manifest has no rows" + (" that fit the site file's filter" if only else ""),
            fix=f"list the images in it ({_SEE})",
            local_detail=f"{path}, filter {dict(only or {})}",
        )
    examples = _checked(path, rows, tuple(classes))
    column = next((c for c in group_order if all(row[c] for _, row in rows if c in row)), None)
    return _grouped(Manifest(path, examples, "image"), group_order, joined_by)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and rows, with lower-case column names and stripped values."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = max(_DELIMITERS, key=header.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            _check_columns(columns, path)
            for cells in reader:
                values = [cell.strip() for cell in cells]
                if any(values):
                    values += [""] * (len(columns) - len(values))
                    yield reader.line_num, dict(zip(columns, values, strict=False))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"the manifest cannot be read ({type(error).__name__})",
            fix=f"save it as CSV, UTF-8, where the site file says ({_SEE})",
            local_detail=f"{path}: {error}",
        ) from error
