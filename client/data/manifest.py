"""A site's manifest: one CSV line per image, read and checked once (docs/data.md)."""

import csv
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.groups import join_groups
from client.data.places import ImageFolder
from common.errors import DataError
from common.labels import Vocabulary, lines_to_add
from common.study.data import EVERY_IMAGE, GROUP_ORDER, GroupColumn

REQUIRED = ("path", "label")
_DELIMITERS = (",", ";", "\t")
_LISTED = 200  # faulty lines shown at home; the rest is counted
_SEE = "see docs/data.md, section Manifest"

Row = Mapping[str, str]


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
    grouped_by: str  # a column, or EVERY_IMAGE where none of them fills every row
    left_out: int = 0  # rows whose word, by the site file, is left out


@dataclass
class _Faults:
    """Kinds of fault, counted, and the lines where they are."""

    counts: Counter[str] = dataclasses.field(default_factory=Counter)
    lines: list[str] = dataclasses.field(default_factory=list)
    words: Counter[str] = dataclasses.field(default_factory=Counter)  # unknown in the label column

    def add(self, kind: str, line: int, value: str) -> None:
        self.counts[kind] += 1
        if len(self.lines) < _LISTED:
            self.lines.append(f"line {line}: {kind}: {value}")

    def raise_any(self, of: int, vocabulary: Vocabulary | None = None) -> None:
        """Raise all faults as one error; `vocabulary` is of the study, if words are unknown."""
        total = self.counts.total() + self.words.total()
        if not total:
            return
        kinds = [f"{n} x {kind}" for kind, n in sorted(self.counts.items())]
        more = self.counts.total() - len(self.lines)
        detail = [*self.lines, *([f"and {more} more"] if more else [])]
        fixes = [f"correct the lines listed on this machine ({_SEE})"] if self.counts else []
        if self.words and vocabulary is not None:
            kinds.append(f"{self.words.total()} x unknown label")
            classes = ", ".join(vocabulary.classes)
            detail += [
                "Into the site file (under `labels`, if it is there):",
                *lines_to_add(self.words, vocabulary),
            ]
            fixes.append("tell in the site file (`labels`) what the words listed here stand for")
        hint = f"; labels of the study: {classes}" if self.words and vocabulary else ""
        raise DataError(
            f"{total} of {of} manifest lines are unusable ({', '.join(kinds)}{hint})",
            fix=", and ".join(fixes),
            local_detail="\n".join(detail),
        )


def read_manifest(
    path: Path,
    classes: Sequence[str],
    group_order: Sequence[GroupColumn] = GROUP_ORDER,
    *,
    only: Mapping[str, str] | None = None,
    joined_by: Sequence[GroupColumn] = (),
    root: Path | None = None,
    words: Mapping[str, str | None] | None = None,
) -> Manifest:
    """Read and check a manifest.

    Args:
        path: the CSV file; image paths in it are relative to its folder.
        classes: the study's classes; an example's label is an index into them.
        group_order: the group is the first of these columns that every row fills.
        only: keep the rows that have these values in these columns.
        joined_by: columns whose shared values join groups as well.
        root: folder that image paths start at; None: the manifest's own.
        words: what further words in the label column stand for: a class, or None to leave their
            rows out; as `common.study.schema.LabelSet.words` returns.

    Raises:
        DataError: the file cannot be read, lacks a column or rows, or has faulty lines: an unknown
            label, an image that is missing, listed twice, or outside the manifest's folder.
            All lines come in one error: counted in `problem`, listed in `local_detail`.
    """
    vocabulary = Vocabulary(tuple(classes), words or {})
    listed = read_table(path, only or {})
    rows = [(number, row) for number, row in listed if vocabulary.uses(row["label"])]
    if not rows:
        raise DataError(
            f"all {len(listed)} rows of the manifest are left out by the site file's labels",
            fix="name a class, instead of null, for at least one of the words",
            local_detail=str(path),
        )
    root = path.parent if root is None else root
    images = _checked_images(root, rows, vocabulary)
    grouped_by = next((c for c in group_order if all(row.get(c) for _, row in rows)), None)
    examples = [
        Example(
            image=root / relative,
            label=classes.index(str(vocabulary.meaning(row["label"]))),
            group=row[grouped_by] if grouped_by else relative,
            patient=row.get("patient") or None,
            slide=row.get("slide") or None,
            stain_cluster=row.get("stain_cluster") or None,
            field=row.get("field") or None,
            split=row.get("split") or None,
        )
        for (_, row), relative in zip(rows, images, strict=True)
    ]
    links = [[getattr(example, column) for example in examples] for column in joined_by]
    joined = join_groups([example.group for example in examples], *links)
    return Manifest(
        path,
        tuple(dataclasses.replace(e, group=g) for e, g in zip(examples, joined, strict=True)),
        grouped_by or EVERY_IMAGE,
        len(listed) - len(rows),
    )


def read_table(path: Path, only: Mapping[str, str]) -> list[tuple[int, Row]]:
    """Read all columns of a manifest: line numbers, and cells by lower-case column.

    Args:
        path: the CSV file.
        only: keep the rows that have these values in these columns.

    Raises:
        DataError: the file cannot be read, lacks a column or rows, or is ragged.
    """
    columns, lines = _read(path)
    _check_columns(columns, only, path)
    rows = _rows(columns, lines, only)
    if not rows:
        raise DataError(
            "the manifest has no rows" + (" that fit the site file's filter" if only else ""),
            fix=f"list this site's images in it ({_SEE})",
            local_detail=f"{path}, filter {dict(only)}",
        )
    return rows


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return lower-case column names, and line numbers with stripped cells."""
    try:
        if path.exists() and not path.is_file():
            raise _unreadable(path, "not a file", "")  # a pipe would never answer
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=header.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError as error:
        raise _unreadable(path, "not UTF-8", str(error)) from error
    except csv.Error as error:
        raise _unreadable(path, "a quoted cell does not end where it should", str(error)) from error
    except OSError as error:
        raise _unreadable(path, type(error).__name__, str(error)) from error
    return columns, lines


def _unreadable(path: Path, why: str, detail: str) -> DataError:
    return DataError(
        f"the manifest cannot be read ({why})",
        fix=f"save it as CSV in UTF-8, where the site file says ({_SEE})",
        local_detail=f"{path}: {detail or why}",
    )


def _check_columns(columns: Sequence[str], only: Mapping[str, str], path: Path) -> None:
    missing = sorted({*REQUIRED, *map(str.lower, only)} - set(columns))
    twice = [name for name, n in Counter(columns).items() if n > 1 and name]
    if missing or twice:
        faults = [f"lacks the column {name}" for name in missing if name in REQUIRED]
        faults += ["lacks a column of the site file's filter"] * bool(set(missing) - set(REQUIRED))
        faults += ["names a column twice"] * bool(twice)
        raise DataError(
            f"the manifest {', '.join(faults)}",
            fix=f"correct its first line ({_SEE})",
            local_detail=f"{path}: columns {columns}, missing {missing}, twice {twice}",
        )


def _rows(
    columns: Sequence[str], lines: Sequence[tuple[int, list[str]]], only: Mapping[str, str]
) -> list[tuple[int, Row]]:
    """Name the cells; leave out empty lines and those that the filter does not select."""
    rows: list[tuple[int, Row]] = []
    faults = _Faults()
    for number, cells in lines:
        if any(cells[len(columns) :]):
            faults.add("more cells than columns", number, str(cells))
            continue
        row = dict(zip(columns, cells + [""] * len(columns), strict=False))
        if any(cells) and all(row[name.lower()] == value for name, value in only.items()):
            rows.append((number, row))
    faults.raise_any(len(lines))
    return rows


def _checked_images(
    folder: Path, rows: Sequence[tuple[int, Row]], vocabulary: Vocabulary
) -> list[str]:
    """Return the image paths relative to the manifest's folder, once every row is sound."""
    place = ImageFolder(folder)
    images: list[str] = []
    seen: set[str] = set()
    faults = _Faults()
    for number, row in rows:
        image = Path(row["path"].replace("\\", "/"))
        if not vocabulary.knows(row["label"]):
            faults.words[row["label"]] += 1
        if not row["path"]:
            faults.add("no path", number, "")
        elif fault := place.fault(image):
            faults.add(fault, number, row["path"])
        elif image.as_posix() in seen:
            faults.add("image listed twice", number, row["path"])
        seen.add(image.as_posix())
        images.append(image.as_posix())
    faults.raise_any(len(rows), vocabulary)
    return images
