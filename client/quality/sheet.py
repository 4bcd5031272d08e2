"""A contact sheet: small pictures of images with what is wrong with each, for eyes at the site."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from client.quality.judging import MARKED, described
from client.quality.survey import Survey
from common.errors import DataError
from common.imaging.decode import decode
from common.whole_file import write_whole

_TILE, _GAP, _LINE, _HEAD = 216, 8, 15, 44  # pixels
_ACROSS = 8
_TEXT_SCALE, _FONT = 0.38, cv2.FONT_HERSHEY_SIMPLEX
_LETTERS = 33  # of a caption's line, which is as long as a tile is wide
_NOTICE = "Patients' images: this sheet stays in this hospital."

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet."""

    image: Path
    lines: tuple[str, ...]  # below it


def worst(found: Survey, most: int) -> list[Tile]:
    """Choose the worst images: in turn of every reason, the one farthest beyond its limit.

    Burnt-in marks get no more than an equal share of the sheet: a scale bar is in every image.
    """
    by_reason: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, flags in enumerate(found.flags):
        for flag in flags:
            by_reason[flag.reason].append((-flag.excess, number))
    if len(by_reason) > 1:
        by_reason[MARKED] = sorted(by_reason[MARKED])[: most // len(by_reason)]
    queues = [sorted(queue, reverse=True) for _, queue in sorted(by_reason.items())]
    chosen: dict[int, None] = {}
    while any(queues) and len(chosen) < most:
        for queue in queues:
            while queue and queue[-1][1] in chosen:
                queue.pop()
            if queue and len(chosen) < most:
                chosen[queue.pop()[1]] = None
    return [_tile(found, number) for number in chosen]


def _tile(found: Survey, number: int) -> Tile:
    image = found.examples[number].image
    flags = sorted(found.flags[number], key=lambda flag: flag.reason == MARKED)  # it is everywhere
    told = [f"{flag.reason}: {described(flag)}" for flag in flags]
    return Tile(image, (*told[:3], f"{image.parent.name}/{image.name}"))


def write_sheet(path: Path, title: str, tiles: Sequence[Tile]) -> None:
    """Write a contact sheet as PNG, which only its owner can read.

    Args:
        path: the file.
        title: stands above the pictures, with a notice that they are patients'.
        tiles: in the order in which they are shown; at least one.

    Raises:
        DataError: an image cannot be read, or the sheet cannot be written.
    """
    lines = max(len(tile.lines) for tile in tiles)
    height, width = _TILE + lines * _LINE + _GAP, _TILE + _GAP
    across = min(_ACROSS, max(2, len(tiles)))
    sheet = np.full((_HEAD + -(-len(tiles) // across) * height, across * width, 3), 255, np.uint8)
    for row, text in enumerate((title, _NOTICE)):
        _write(sheet, text, _GAP, 16 + 18 * row, 0.45)
    for number, tile in enumerate(tiles):
        top, left = _HEAD + number // across * height, number % across * width + _GAP // 2
        picture = _thumbnail(tile.image)
        down, right = picture.shape[:2]
        sheet[top : top + down, left : left + right] = picture
        for line, text in enumerate(tile.lines):
            _write(sheet, _shortened(text), left, top + _TILE + 12 + line * _LINE, _TEXT_SCALE)
    _, packed = cv2.imencode(".png", sheet[..., ::-1])
    write_private(path, packed.tobytes(), "--sheet")


def write_private(path: Path, data: bytes, option: str) -> None:
    """Write a file that tells of single images, which only its owner can read.

    Args:
        path: the file.
        data: what it holds.
        option: of the command, that names another file.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data, mode=0o600)
    except OSError as error:
        raise DataError(
            f"a file cannot be written: {error.strerror}",
            fix=f"name another one with {option}",
            local_detail=str(error),
        ) from error


def within(image: Path, root: Path) -> str:
    """Return how the manifest names an image."""
    return str(image.relative_to(root)) if image.is_relative_to(root) else str(image)


def _thumbnail(image: Path) -> Pixels:
    """Return an image within a tile, uint8 RGB, its shape kept."""
    try:
        pixels = decode(image.read_bytes())
    except OSError as error:
        raise DataError(
            "an image cannot be read any more", fix="put it back", local_detail=str(error)
        ) from error
    factor = _TILE / max(pixels.shape[:2])
    size = [max(1, round(length * factor)) for length in (pixels.shape[1], pixels.shape[0])]
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def _write(sheet: Pixels, text: str, left: int, base: int, scale: float) -> None:
    cv2.putText(sheet, text, (left, base), _FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)


def _shortened(text: str) -> str:
    """Keep the end, which tells files apart, in letters that OpenCV can draw."""
    drawn = text.encode("ascii", "replace").decode()
    return drawn if len(drawn) <= _LETTERS else f"..{drawn[2 - _LETTERS :]}"
