"""A table from the laboratory's system: CSV as any program writes it, or a spreadsheet (XLSX)."""

import csv
import datetime as dt
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from common.errors import DataError

_DELIMITERS = ",;\t|"
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_TITLES = 20  # lines above the columns' names that a report may have
_SPREADSHEETS = (".xlsx", ".xlsm")
_DAMAGE = (OSError, BadZipFile, InvalidFileException, KeyError, ValueError, TypeError, EOFError,
           SyntaxError)  # fmt: skip

Line = tuple[int, Sequence[str]]


@dataclass(frozen=True)
class Record:
    """One line of the table: the cells that are wanted, under the manifest's names."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class LaboratoryTable:
    """The table's records, and how it was read."""

    records: tuple[Record, ...]
    read_as: str


def read_laboratory_table(path: Path, columns: Mapping[str, str]) -> LaboratoryTable:
    """Read the wanted columns; lines that are empty in all of them are passed over.

    Args:
        path: the file.
        columns: the table's name of each of the manifest's columns; case and spaces do not count.

    Raises:
        DataError: the file cannot be read, or no line names all the columns.
    """
    seen: list[str] = []
    for read_as, lines in _tables(path):
        head: list[str] = []
        records = tuple(_records(lines, columns, head))
        if records:
            return LaboratoryTable(records, read_as)
        seen.append(f"{read_as}: {head}")
    raise DataError(
        f"no line of the table names the columns {', '.join(columns.values())}, with rows below",
        fix="say what they are called there, for example --columns path=File,label=Diagnosis",
        local_detail="\n".join([f"{path}; its first lines:", *seen]),
    )


def _tables(path: Path) -> Iterator[tuple[str, Iterable[Line]]]:
    """Yield the ways in which a file may be a table."""
    try:
        if path.suffix.lower() in _SPREADSHEETS:
            yield from _sheets(path)
            return
        data = path.read_bytes()
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    if data.startswith(b"\xd0\xcf\x11\xe0") or data.startswith(b"PK\x03\x04"):
        raise DataError(
            "the table is a spreadsheet of another kind",
            fix="save it as .xlsx or as CSV",
            local_detail=str(path),
        )
    encoding, text = _text(data)
    for delimiter in _DELIMITERS:
        name = {"\t": "tabulators", ",": "commas", ";": "semicolons"}.get(delimiter, delimiter)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            lines: list[Line] = [(reader.line_num, cells) for cells in reader]
        except csv.Error:  # quotes that stand otherwise: of another delimiter
            continue
        yield f"CSV, {encoding}, {name}", lines


def _text(data: bytes) -> tuple[str, str]:
    """Decode as what the bytes begin with, else UTF-8, else what Windows writes."""
    stated = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    for encoding in (stated, "cp1252"):
        try:
            return encoding, data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return "latin-1", data.decode("latin-1")


def _sheets(path: Path) -> Iterator[tuple[str, Iterable[Line]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of features that openpyxl does not keep
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # some programs write them wrong
                rows = [
                    (number, [_cell(value) for value in values])
                    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1)
                ]
                yield f"sheet {sheet.title}", rows
        finally:
            book.close()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # numbers are kept as fractions
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return str(value)


def _records(
    lines: Iterable[Line], columns: Mapping[str, str], head: list[str]
) -> Iterator[Record]:
    """Yield what lies below the line that names all columns; `head` gets the first lines seen."""
    places: dict[str, int] | None = None
    wanted = {ours: _folded(theirs) for ours, theirs in columns.items()}
    for number, (line, cells) in enumerate(lines):
        if places is None:
            if number >= _TITLES:
                return
            head.append(" | ".join(cells))
            names = [_folded(cell) for cell in cells]
            if set(wanted.values()) <= set(names):
                places = {ours: names.index(theirs) for ours, theirs in wanted.items()}
            continue
        found = {ours: cells[place].strip() if place < len(cells) else ""
                 for ours, place in places.items()}  # fmt: skip
        if any(found.values()):
            yield Record(line, found)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"the table cannot be read ({type(error).__name__})",
        fix="save it anew, as .xlsx or as CSV",
        local_detail=f"{path}: {error}",
    )
