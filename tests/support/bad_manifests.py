"""Manifests that a hospital may write, and what becomes of each."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.bad_input import Case

_BROKEN = "the manifest cannot be read ({})"
_CUT = "a quoted cell does not end where it should"
_LABELS = "; labels of the study: Benign, Early, Pre"
NAME = "manifest.csv"


def _text(text: str, encoding: str = "utf-8") -> Callable[[Path], str]:
    """Write a manifest beside images a.jpg, b.jpg and c.jpg."""

    def write(folder: Path) -> str:
        for name in "abc":
            (folder / f"{name}.jpg").write_bytes(name.encode())
        (folder / NAME).write_bytes(text.encode(encoding))
        return NAME

    return write


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / NAME)
    return NAME


def _folder(folder: Path) -> str:
    (folder / NAME).mkdir()
    return NAME


def _refused(given: str, text: str, says: str, encoding: str = "utf-8") -> Case:
    return Case(given, _text(text, encoding), "refused", says)


def _rows(given: str, rows: Sequence[str], fault: str, count: int = 1, hint: str = "") -> Case:
    """Give rows below a sound header; those at fault are counted by kind."""
    text = "\n".join(["path,label,patient", *rows, ""])
    says = f"{count} of {len(rows)} manifest lines are unusable ({fault}{hint})"
    return _refused(given, text, says)


def _used(given: str, text: str, says: str, encoding: str = "utf-8") -> Case:
    return Case(given, _text(text, encoding), "used", says)


_OUTSIDE = "1 x path not inside the manifest's folder"
_PLAIN = "path,label,patient\na.jpg,Pre,p1\nb.jpg,Early,p2\n"
_SPREADSHEET = "Path;LABEL;Patient;Notiz\na.jpg;Pre;p1;ü\nb.jpg;Early;p2;\n"

CASES = (
    Case("no manifest", lambda folder: NAME, "refused", _BROKEN.format("FileNotFoundError")),
    Case("a folder in its place", _folder, "refused", _BROKEN.format("not a file")),
    Case("a named pipe in its place", _pipe, "refused", _BROKEN.format("not a file")),
    _refused("an empty file", "", "the manifest lacks the column label, lacks the column path"),
    _refused("a header alone", "path,label,patient\n", "the manifest has no rows"),
    _refused("no column `label`", "path,diagnosis\na.jpg,Pre\n",
             "the manifest lacks the column label"),
    _refused("no header", "a.jpg,Pre\nb.jpg,Early\n",
             "the manifest lacks the column label, lacks the column path"),
    _refused("a column twice, in another case", "path,label,Label\na.jpg,Pre,Pre\n",
             "the manifest names a column twice"),
    _refused("UTF-16, as Excel's \"Unicode text\"", _PLAIN.replace(",", "\t"),
             _BROKEN.format("not UTF-8"), "utf-16"),
    _refused("Latin-1 with umlauts", _PLAIN.replace("p1", "Jäger"), _BROKEN.format("not UTF-8"),
             "latin-1"),
    _refused("a workbook named .csv", "PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00ß",
             _BROKEN.format("not UTF-8"), "latin-1"),
    _refused("a quote that nobody closes", 'path,label\n"a.jpg,Pre\nb.jpg,Early\n',
             _BROKEN.format(_CUT)),
    _refused("a quote that nobody closes, above 100,000 rows",
             'path,label\n"a.jpg,Pre\n' + "b.jpg,Early\n" * 100_000, _BROKEN.format(_CUT)),
    _refused("letters after a closing quote", 'path,label\n"a".jpg,Pre\n', _BROKEN.format(_CUT)),
    _rows("a row with more cells than columns", ["a.jpg,Pre,p1,2024", "b.jpg,Early,p2"],
          "1 x more cells than columns"),
    _rows("a row that ends after the path", ["a.jpg", "b.jpg,Early,p2"], "1 x unknown label", 1,
          _LABELS),
    _rows("a row without its path", [",Pre,p1", "b.jpg,Early,p2"], "1 x no path"),
    _rows("zero bytes in a path", ["a.j\0pg,Pre,p1"], "1 x image not found"),
    _rows("an image that is not there", ["a.jpg,Pre,p1", "lost.jpg,Pre,p1"],
          "1 x image not found"),
    _rows("a row twice", ["a.jpg,Pre,p1", "a.jpg,Pre,p1"], "1 x image listed twice"),
    _rows("an image twice, in two spellings", ["a.jpg,Pre,p1", "./a.jpg,Pre,p1"],
          "1 x image listed twice"),
    _rows("an image twice, under two labels", ["a.jpg,Pre,p1", "a.jpg,Early,p1"],
          "1 x image listed twice"),
    _rows("an absolute path out of the folder", ["/etc/hostname,Pre,p1"], _OUTSIDE),
    _rows("a Windows path with its drive", ["C:\\smears\\a.jpg,Pre,p1"], _OUTSIDE),
    _rows("a Windows path of a shared drive", ["\\\\server\\smears\\a.jpg,Pre,p1"], _OUTSIDE),
    _rows("`..` in a path", ["../a.jpg,Pre,p1"], _OUTSIDE),
    _rows("`..` that comes back", ["sub/../a.jpg,Pre,p1"], _OUTSIDE),
    _rows("the folder itself as an image", [".,Pre,p1"], "1 x not a file"),
    _rows("an unknown label", ["a.jpg,Mystery,p1", "b.jpg,Early,p2"], "1 x unknown label", 1,
          _LABELS),
    _rows("a formula as a label", ["a.jpg,\"=HYPERLINK(\"\"http://x\"\")\",p1"],
          "1 x unknown label", 1, _LABELS),
    _rows("a formula as a path", ["=cmd|'/c calc'!A0,Pre,p1"], "1 x image not found"),
    _rows("faults of several kinds", ["a.jpg,Odd,p1", "lost.jpg,Pre,p1", "../x.jpg,Pre,p1"],
          f"1 x image not found, {_OUTSIDE}, 1 x unknown label", 3, _LABELS),
    _used("labels in another case", _PLAIN.replace("Pre", "PRE"), "as it is"),
    _used("labels with a hyphen or a space inside", _PLAIN.replace("Pre", "P-re"), "as it is"),
    _used("a byte-order mark", _PLAIN, "as it is", "utf-8-sig"),
    _used("semicolons, capitals in column names", _SPREADSHEET, "as it is"),
    _used("tabs", _PLAIN.replace(",", "\t"), "as it is"),
    _used("Windows line ends", _PLAIN.replace("\n", "\r\n"), "as it is"),
    _used("line ends of an old Macintosh", _PLAIN.replace("\n", "\r"), "as it is"),
    _used("spaces around values", _PLAIN.replace(",", " , "), "without the spaces"),
    _used("empty rows, rows of commas", _PLAIN + "\n,,\n ,, \n", "without these rows"),
    _used("backslashes in paths", _PLAIN.replace("a.jpg", ".\\a.jpg"), "as slashes"),
    _used("a formula in another column", _PLAIN.replace("p1", "=1+1").replace("p2", "@x"),
          "as text: nothing is worked out"),
    _used("further columns", _PLAIN.replace("patient", "patient,,").replace("p1", "p1,x,y"),
          "without these columns"),
)  # fmt: skip
