"""The Taleqani ALL images as on Kaggle: `Original/Pre/WBC-Malignant-Pre-001.jpg`.

The archive's second folder, `Segmented`, holds the same photographs with all but the nuclei
blackened. Of the class Pro nearly everything is black: such an image tells its class without a
cell, so they are never listed.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from client.data.layouts.layout import Folder, Layout, Row, refuse
from common.errors import DataError
from common.imaging.decode import decode
from common.labels import FOUR_CLASS

_NAME = re.compile(r"wbc-(?:malignant-(early|pre|pro)|(benign))-\d+", re.IGNORECASE)
_LABELS = {name.lower(): name for name in FOUR_CLASS}
_SEGMENTED = "segmented"
_TRIED = 8  # images whose black pixels are counted
_BLACK = 0.2  # a smear has no black areas; of a segmented image far more is black than this


def _recognises(folder: Folder) -> bool:
    return any(_NAME.match(image.name) and _label_folder(image) for image in folder.images)


def _label_folder(image: Path) -> str | None:
    return _LABELS.get(image.parent.name.strip().lower())


def _rows(folder: Folder) -> Iterator[Row]:
    named = [image for image in folder.images if _NAME.match(image.name)]
    whole = folder.path.resolve().name
    kept = [image for image in named
            if _SEGMENTED not in Path(whole.lower(), str(image).lower()).parts]  # fmt: skip
    if named and (not kept or _are_blackened(folder, kept)):
        raise DataError(
            "these are the segmented copies of the Taleqani images: their masks give the class "
            "away, Pro is nearly all black",
            fix="name the folder Original of the same archive",
            local_detail=str(folder.path),
        )
    wrong = [image for image in kept
             if _label(image).lower() != image.parent.name.strip().lower()]  # fmt: skip
    if wrong:
        raise refuse(
            f"{len(wrong)} of {len(kept)} images lie in another class's folder than their names "
            "say",
            "unpack the archive anew, or put these images where they belong",
            wrong,
        )
    for image in kept:
        yield Row(image, _label(image))


def _label(image: Path) -> str:
    found = _NAME.match(image.name)
    return _LABELS[(found[1] or found[2]).lower()] if found else ""


def _are_blackened(folder: Folder, images: list[Path]) -> bool:
    """Look at a few images: a renamed `Segmented` betrays itself by black areas."""
    shares = []
    for image in images[:: max(1, len(images) // _TRIED)][:_TRIED]:
        try:
            pixels = decode((folder.path / image).read_bytes())
        except (DataError, OSError):
            continue
        shares.append(float((pixels.max(axis=2) < 16).mean()))
    return bool(shares) and float(np.median(shares)) > _BLACK


TALEQANI = Layout(
    name="taleqani",
    title="Taleqani ALL images (Kaggle mehradaria/leukemia), folder Original",
    classes=FOUR_CLASS,
    recognises=_recognises,
    rows=_rows,
    note="No patient is known: `leukofed-site fields` finds images of one field. Benign are "
    "hematogones, not normal cells. The folder Segmented is left out: its masks give the class "
    "away.",
)
