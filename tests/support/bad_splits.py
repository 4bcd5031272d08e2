"""Ways in which a site's images do not divide into parts, and what becomes of each."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.bad_input import Case

PARTS = ("train", "validation", "test")
_SPLIT = "the manifest's split column is empty in {} and neither train, validation nor test in {}"
_FEW = "{} to fill training, validation and test parts"
Row = tuple[str, str, str]  # label, patient, part


def _rows(rows: Sequence[Row]) -> Callable[[Path], str]:
    """Write a manifest of rows, an image each; the column `split` only if any row fills it."""

    def write(folder: Path) -> str:
        stated = any(part for _, _, part in rows)
        lines = ["path,label,patient" + ",split" * stated]
        for number, (label, patient, part) in enumerate(rows):
            (folder / f"{number}.jpg").write_bytes(str(number).encode())
            lines.append(f"{number}.jpg,{label},{patient}" + f",{part}" * stated)
        (folder / "manifest.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
        return "manifest.csv"

    return write


def _refused(given: str, rows: Sequence[Row], says: str) -> Case:
    return Case(given, _rows(rows), "refused", says)


def _used(given: str, rows: Sequence[Row], says: str) -> Case:
    return Case(given, _rows(rows), "used", says)


def _stated(*parts: str) -> list[Row]:
    """Two images of a patient in each part, one of each class."""
    return [
        (label, f"p{number}", part) for number, part in enumerate(parts) for label in ("Pre", "Pro")
    ]


def _drawn(label: str, patients: int) -> list[Row]:
    return [(label, f"{label} {number}", "") for number in range(patients) for _ in range(3)]


CASES = (
    _refused("one patient has every image", [("Pre", "p", ""), ("Pro", "p", "")] * 9,
             _FEW.format("1 group is too few")),
    _refused("two patients, three parts", _drawn("Pre", 1) + _drawn("Pro", 1),
             _FEW.format("2 groups are too few")),
    _refused("a half-filled `split` column", _stated("train", "test", ""),
             _SPLIT.format(2, 0) + " of 6 rows"),
    _refused("an unknown word in it", _stated("train", "test", "holdout"),
             _SPLIT.format(0, 2) + " of 6 rows"),
    _refused("both", [*_stated("train", "holdout"), ("Pre", "p9", "")],
             _SPLIT.format(1, 2) + " of 5 rows"),
    _refused("a patient in two parts",
             [*_stated("train", "validation", "test"), ("Pre", "p0", "test")],
             "1 of 3 groups lie in more than one part of the manifest's split column"),
    _used("a `split` column with capitals, and `val`", _stated("Train", "VAL", "Test"),
          "as it is"),
    _used("a class that a part lacks",
          [*_stated("train", "validation"), ("Pre", "p9", "test"), ("Pre", "p10", "test")],
          "as it is; `check` warns: `train 2, validation 2, test 2: no Pro in test`"),
    _used("a part that the column never names", _stated("train", "test"),
          "as it is; `check` warns: `train 2, validation 0, test 2: nothing for "
          "validation`"),
    _used("nothing to train on", _stated("validation", "test"),
          "at evaluation alone; `check` says: `train 0, validation 2, test 2: nothing "
          "to train on`"),
    _used("patients of one class only", _drawn("Pre", 9),
          "as it is; `check` warns: `Benign 0, Early 0, Pre 27, Pro 0: the images are "
          "of one class only`"),
    _used("a class of one patient", _drawn("Pre", 9) + _drawn("Pro", 1),
          "as it is; `check` warns: `one group holds more than half of a class (Pro: 3 "
          "of 3 in Pro 0)`"),
    _used("no column that groups", [("Pre", "", ""), ("Pro", "", "")] * 9,
          "each image by itself, which leaks; `check` warns: "
          "`every image stands alone`"),
    _used("fewer patients of a class than parts", _drawn("Pre", 9) + _drawn("Pro", 2),
          "as it is; `check` warns: `no Pro in`"),
)  # fmt: skip
