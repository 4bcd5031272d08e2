"""C-NMC 2019: `fold_0/all/UID_11_10_1_all.bmp`, and the preliminary test set with its CSV.

A name tells subject, image and cell. Some subjects share images, so they are one patient, or the
records are wrong: either way they stay together. The final test set has no labels.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from client.data.layouts.layout import Folder, Layout, Row, refuse
from common.errors import DataError
from common.labels import BINARY

_NAME = re.compile(r"UID_(H?\d+)_(\d+)_(\d+)_(all|hem)$", re.IGNORECASE)
_LABELS = {"hem": "normal", "0": "normal", "all": "ALL", "1": "ALL"}
_COLUMNS = {"patient_id", "new_names", "labels"}
_MERGED = (("20", "21"), ("51", "75", "78"), ("H2", "H4", "H5", "H6"), ("H3", "H10"))
_ONE_PATIENT = {subject: "+".join(same) for same in _MERGED for subject in same}


def patient_of(subject: str) -> str:
    """Return the patient of a subject: subjects that share images are one."""
    return _ONE_PATIENT.get(subject.upper(), subject.upper())


def _recognises(folder: Folder) -> bool:
    return any(_is_training(image) for image in folder.images) or any(
        _lines(folder.path / file) is not None for file in folder.named(".csv")
    )


def _is_training(image: Path) -> bool:
    return bool(_NAME.match(image.stem)) and image.parent.name.lower() in ("all", "hem")


def _rows(folder: Folder) -> Iterator[Row]:
    wrong = []
    for image in folder.images:
        found = _NAME.match(image.stem)
        if found is None or not _is_training(image):
            continue
        if found[4].lower() != image.parent.name.lower():
            wrong.append(image)
        yield _row(image, found, _LABELS[found[4].lower()])
    if wrong:
        raise refuse(
            f"{len(wrong)} images lie in another class's folder than their names say",
            "unpack the archive anew, or put these images where they belong",
            wrong,
        )
    for file in folder.named(".csv"):
        lines = _lines(folder.path / file)
        if lines is not None:
            yield from _preliminary(folder, file, lines)


def _preliminary(folder: Folder, file: Path, lines: list[dict[str, str]]) -> Iterator[Row]:
    """Yield the images of the preliminary set: its CSV tells which subject `1.bmp` is."""
    images = _images_of(folder, file)
    faults = [line["new_names"] for line in lines
              if line["new_names"].lower() not in images or line["labels"] not in _LABELS
              or _NAME.match(Path(line["patient_id"]).stem) is None]  # fmt: skip
    if faults:
        raise refuse(
            f"{len(faults)} of {len(lines)} lines of the preliminary set's CSV name no image, no "
            "subject or no label",
            "complete the download, or name the folder of the training set alone",
            faults,
        )
    for line in lines:
        found = _NAME.match(Path(line["patient_id"]).stem)
        if found is not None:
            yield _row(images[line["new_names"].lower()], found, _LABELS[line["labels"]])


def _images_of(folder: Folder, file: Path) -> dict[str, Path]:
    """Find the preliminary set's images: beside the CSV, or in the folder it is named after."""
    before = file.stem.lower()
    return {
        image.name.lower(): image
        for image in folder.images
        if image.parent == file.parent
        or (image.parent.parent == file.parent and before.startswith(image.parent.name.lower()))
    }


def _row(image: Path, name: re.Match[str], label: str) -> Row:
    patient = patient_of(name[1])
    return Row(
        image, label, {"patient": patient, "slide": f"{patient}/{name[1].upper()}-{name[2]}"}
    )


def _lines(file: Path) -> list[dict[str, str]] | None:
    """Read the preliminary set's CSV; None: this is none."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            table = csv.DictReader(text)
            columns = [name.strip().lower() for name in table.fieldnames or ()]
            if not set(columns) >= _COLUMNS:
                return None
            table.fieldnames = columns
            return [{key: (line[key] or "").strip() for key in _COLUMNS} for line in table]
    except UnicodeDecodeError:
        return None
    except (OSError, csv.Error) as error:
        raise DataError(
            "a CSV beside the images cannot be read",
            fix="let this user read it, or move it elsewhere",
            local_detail=f"{file}: {error}",
        ) from error


CNMC = Layout(
    name="c-nmc",
    title="C-NMC 2019 (ISBI challenge; folds all/hem, preliminary set by its CSV)",
    classes=BINARY,
    recognises=_recognises,
    rows=_rows,
    note="Subjects are patients; those that share images are joined: "
    + ", ".join("{" + ", ".join(same) + "}" for same in _MERGED) + ".",
)  # fmt: skip
