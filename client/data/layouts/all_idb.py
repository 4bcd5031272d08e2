"""ALL-IDB1 and 2: photographs `im/Im001_1.jpg` with `xyc/Im001_1.xyc`, cells `img/Im001_1.tif`.

The suffix tells: 1 is leukaemic, 0 healthy. The cells are cut from the photographs, but their
numbers do not say from which: only the pixels do. Where both sets lie below the folder, each cell
is searched in the photographs and gets the photograph it was found in as its `field`, as the
photograph itself does; so no split can part them. A cell found in none could lie in any, and is
left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from client.data.cuttings import find_sources
from client.data.layouts.layout import Folder, Layout, Row
from common.errors import DataError
from common.labels import BINARY

_NAME = re.compile(r"Im\d+_([01])(?: \(\d+\))?$", re.IGNORECASE)


def _of(folder: Folder, place: str) -> list[Path]:
    return [image for image in folder.images
            if image.parent.name.lower() == place and _NAME.match(image.stem)]  # fmt: skip


def _recognises(folder: Folder) -> bool:
    return bool(_of(folder, "im") or _of(folder, "img"))


def _rows(folder: Folder) -> Iterator[Row]:
    photographs, cells = _of(folder, "im"), _of(folder, "img")
    centres = {(file.parent.parent, file.stem.lower()): file for file in folder.named(".xyc")
               if file.parent.name.lower() == "xyc"}  # fmt: skip
    for image in photographs:
        file = centres.get((image.parent.parent, image.stem.lower()))
        points = [] if file is None else read_centroids(folder.path / file)
        written = ";".join(f"{x} {y}" for x, y in points)
        columns = {"field": image.stem, "set": "ALL-IDB1", "centroids": written}
        yield Row(image, _label(image), columns)
    sources: dict[Path, str | None] = dict.fromkeys(cells, "")
    if photographs and cells:
        named = {image.stem: folder.path / image for image in photographs}
        found = find_sources(named, [folder.path / image for image in cells], folder.watch)
        sources = {image: found[folder.path / image] for image in cells}
    for image, source in sources.items():
        if source is not None:
            yield Row(image, _label(image), {"field": source, "set": "ALL-IDB2"})


def _label(image: Path) -> str:
    found = _NAME.match(image.stem)
    return BINARY[int(found[1])] if found else ""


def read_centroids(file: Path) -> list[tuple[int, int]]:
    """Read the centres of a photograph's blasts: x and y in pixels, one blast a line.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        return [(round(float(x)), round(float(y))) for x, y in filter(None, lines)]
    except (OSError, ValueError) as error:
        raise DataError(
            "a file of centroids (.xyc) cannot be read",
            fix="unpack the archive anew: each line holds x and y",
            local_detail=f"{file}: {error}",
        ) from error


ALL_IDB = Layout(
    name="all-idb",
    title="ALL-IDB1 (photographs with centroids) and ALL-IDB2 (cells cut from them)",
    classes=BINARY,
    recognises=_recognises,
    rows=_rows,
    note="ALL-IDB2 is cut from ALL-IDB1: never train on one and test on the other. With both below "
    "one folder, `field` keeps a photograph and its cells together; from ALL-IDB2 alone nobody can "
    "tell which cells share a photograph, and results leak.",
)
