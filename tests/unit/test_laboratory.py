"""A laboratory's table: read however it was written, and brought together with the images."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest
from openpyxl import Workbook

from client.data.laboratory import Record, read_laboratory_table
from client.data.layouts.layout import Folder
from client.data.matching import Matched, match
from common.errors import DataError

COLUMNS = {"path": "Datei", "label": "Diagnose", "patient": "Patient  Nr"}
HEAD = ["lfd", "Patient Nr", "Diagnose", "DATEI "]
ROWS = [["1", "0017", "Prä-B", "a 1.jpg"], ["2", "18", "Häm, reaktiv", "b.jpg"]]
CELLS = [{"path": "a 1.jpg", "label": "Prä-B", "patient": "0017"},
         {"path": "b.jpg", "label": "Häm, reaktiv", "patient": "18"}]  # fmt: skip


def cells(path: Path) -> list[dict[str, str]]:
    return [dict(record.cells) for record in read_laboratory_table(path, COLUMNS).records]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_in_any_usual_spelling(
    tmp_path: Path, encoding: str, delimiter: str, newline: str
) -> None:
    quoted = [delimiter.join(f'"{cell}"' for cell in row) for row in [HEAD, *ROWS]]
    text = newline.join(["Befunde des Labors", "", *quoted, delimiter * 3, ""])
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    assert cells(path) == CELLS
    read = read_laboratory_table(path, COLUMNS)
    assert [record.line for record in read.records] == [4, 5]
    assert read.read_as.startswith(f"CSV, {'utf-16' if encoding == 'utf-16' else encoding[:5]}")


def sheet(path: Path, *sheets: Sequence[Sequence[object]]) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for rows in sheets:
        page = book.create_sheet()
        for row in rows:
            page.append(list(row))
    book.save(path)
    book.close()
    return path


def test_a_spreadsheet_with_a_cover_numbers_and_dates(tmp_path: Path) -> None:
    columns = {**COLUMNS, "taken": "Datum"}
    rows: list[list[object]] = [
        ["Auszug"], [], [*HEAD, "Datum"],
        [1, 17.0, "Prä-B", "a 1.jpg", dt.datetime(2024, 5, 6)], [None] * 5,
        [2, 18, "Häm", 7, dt.datetime(2024, 5, 6, 7, 8)],
    ]  # fmt: skip
    path = sheet(tmp_path / "t.XLSX", [["cover"]], rows)
    read = read_laboratory_table(path, columns)
    assert [dict(record.cells) for record in read.records] == [
        {"path": "a 1.jpg", "label": "Prä-B", "patient": "17", "taken": "2024-05-06"},
        {"path": "7", "label": "Häm", "patient": "18", "taken": "2024-05-06 07:08:00"},
    ]
    assert (read.records[0].line, read.read_as) == (4, "sheet Sheet1")


def test_a_table_without_the_columns_shows_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file;dx;mrn\na.jpg;Pre;Meier\n")
    with pytest.raises(DataError, match="columns Datei, Diagnose, Patient  Nr") as caught:
        read_laboratory_table(path, COLUMNS)
    assert "file | dx | mrn" in caught.value.local_detail
    assert "Meier" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("t.xlsx", b"PK\x03\x04 no spreadsheet", "cannot be read"),
        ("t.xlsx", b"", "cannot be read"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "of another kind"),
        ("t.csv", b"", "no line of the table"),
        ("t.csv", b"Datei,Diagnose,Patient Nr\n", "with rows below"),
        ("t.csv", b'"Datei,Diagnose', "no line of the table"),
        ("t.csv", bytes(range(256)), "no line of the table"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=problem) as caught:
        read_laboratory_table(path, COLUMNS)
    assert str(tmp_path) not in str(caught.value)


def test_an_absent_table_is_refused(tmp_path: Path) -> None:
    for name in ("absent.csv", "absent.xlsx"):
        with pytest.raises(DataError, match="cannot be read"):
            read_laboratory_table(tmp_path / name, COLUMNS)


FILES = ("2023/0001.jpg", "2024/0001.jpg", "2024/0002.JPG", "2024/Jäger (1).tif", "0009.png")


def matched(*named: str, files: Sequence[str] = FILES) -> Matched:
    folder = Folder(Path("/data"), tuple(map(Path, files)))
    records = [
        Record(number, {"path": name, "label": "Pre", "patient": "p"})
        for number, name in enumerate(named, start=2)
    ]
    return match(folder, records)


@pytest.mark.parametrize(
    ("named", "image"),
    [
        ("0002.jpg", "2024/0002.JPG"), ("0002", "2024/0002.JPG"),
        ("2024\\0001.JPG", "2024/0001.jpg"), ("./2023/0001.jpg", "2023/0001.jpg"),
        ("D:\\export\\2024\\0001.jpg", "2024/0001.jpg"), ("x/0009", "0009.png"),
        ("Ja\u0308ger (1).TIF", "2024/Jäger (1).tif"),
    ],
)  # fmt: skip
def test_a_line_names_its_image_by_name_and_folders(named: str, image: str) -> None:
    (row,) = matched(named).rows
    assert (row.path.as_posix(), row.label, row.columns) == (image, "Pre", {"patient": "p"})


def test_lines_and_images_without_a_partner_are_listed() -> None:
    found = matched("0002.jpg", "0003.jpg", "2025/0002.jpg", "0002.png", "")
    assert [row.path.name for row in found.rows] == ["0002.JPG"]
    assert [record.line for record in found.without_image] == [3, 4, 5, 6]


def test_an_ambiguous_name_is_refused() -> None:
    with pytest.raises(DataError, match="1 lines of the table name more than one") as caught:
        matched("0001.jpg", "0002.jpg")
    assert caught.value.local_detail == "line 2: 0001.jpg: 2023/0001.jpg, 2024/0001.jpg"
    assert matched("a/1.jpg", files=["1.jpg", "a/1.jpg"]).rows[0].path == Path("a/1.jpg")


def test_what_is_said_twice_counts_once_and_a_contradiction_is_refused() -> None:
    folder = Folder(Path("/data"), (Path("a.jpg"),))
    first = Record(2, {"path": "a.jpg", "label": "Pre"})
    again, other = Record(3, {**first.cells, "path": "A"}), Record(4, {"path": "a", "label": "Pro"})
    found = match(folder, [first, again])
    assert (len(found.rows), found.repeated) == (1, 1)
    with pytest.raises(DataError, match="different things of an image in 1 lines"):
        match(folder, [first, other])


def test_a_line_without_a_label_is_listed() -> None:
    folder = Folder(Path("/data"), (Path("a.jpg"), Path("b.jpg")))
    found = match(folder, [Record(2, {"path": "a", "label": ""})])
    assert [record.line for record in found.without_label] == [2]
