"""The four-class copy of the Taleqani images: `Blood cell Cancer [ALL]/[Malignant] Pre-B/`."""

import re
from collections.abc import Iterator
from pathlib import Path

from client.data.layouts.layout import Folder, Layout, Row
from common.labels import FOUR_CLASS, bare

_MALIGNANT = re.compile(r"\[\s*malignant\s*\]", re.IGNORECASE)
_LABELS = {"benign": "Benign", "earlypreb": "Early", "preb": "Pre", "prob": "Pro"}


def _label(image: Path) -> str | None:
    name = image.parent.name
    known = _LABELS.get(bare(_MALIGNANT.sub("", name)))
    return known if _MALIGNANT.search(name) or known == "Benign" else None


def _recognises(folder: Folder) -> bool:
    malignant = any(_MALIGNANT.search(image.parent.name) for image in folder.images)
    return malignant and all(_label(image) for image in folder.images)


def _rows(folder: Folder) -> Iterator[Row]:
    for image in folder.images:
        label = _label(image)
        if label is not None:
            yield Row(image, label)


TALEQANI_COPY = Layout(
    name="taleqani-copy",
    title="four-class copy of the Taleqani images (Blood cell Cancer [ALL])",
    classes=FOUR_CLASS,
    recognises=_recognises,
    rows=_rows,
    note="The same hospital's smears as taleqani: never an external test of a model trained on "
    "those. No patient is known.",
)
