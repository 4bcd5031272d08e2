"""PBC, normal blood cells of Barcelona: `PBC_dataset_normal_DIB/basophil/BA_100102.jpg`."""

import re
from collections.abc import Iterator
from pathlib import Path

from client.data.layouts.layout import Folder, Layout, Row

_TYPES = (
    "basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil",
    "platelet",
)  # fmt: skip
_NAME = re.compile(r"[A-Z]{2,10}_\d+$", re.IGNORECASE)


def _label(image: Path) -> str | None:
    name = image.parent.name.strip().lower()
    return name if name in _TYPES and _NAME.match(image.stem) else None


def _recognises(folder: Folder) -> bool:
    labels = [_label(image) for image in folder.images]
    return len(set(labels)) > 1 and None not in labels


def _rows(folder: Folder) -> Iterator[Row]:
    for image in folder.images:
        label = _label(image)
        if label is not None:
            yield Row(image, label)


PBC = Layout(
    name="pbc",
    title="PBC normal blood cells (Barcelona)",
    classes=_TYPES,
    recognises=_recognises,
    rows=_rows,
    note="Normal cells of another laboratory: they are not the hematogones that `Benign` means. "
    "No patient is known.",
)
