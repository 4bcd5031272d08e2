"""Cells drawn into maps of dye: outlines, chromatin, red cells, and where they lie.

Lengths are pixels of the image that is drawn; angles are radians.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
NUCLEUS, CYTOPLASM, RED_CELL = range(3)  # the dye maps, in the order of the stain matrix
_CONTRAST = 0.24  # relative standard deviation of the dye in chromatin
_USUAL_BLUR = 0.6  # blur of a usual scanner, in pixels of a 128-pixel field


@dataclass(frozen=True)
class Cell:
    """One nucleated cell.

    Args:
        row, column: its centre.
        nucleus: mean radius of the nucleus.
        body: mean radius of the whole cell, not below `nucleus`.
        nucleoli: how many pale spots the nucleus holds.
        cleft: depth of the notch in the nucleus, as a share of its radius.
        basophilia: dye of the cytoplasm, 1 is usual.
    """

    row: float
    column: float
    nucleus: float
    body: float
    nucleoli: int
    cleft: float
    basophilia: float


def chromatin(generator: np.random.Generator, size: int, clump: float) -> Field:
    """Draw the pattern of chromatin: float32 (size, size), mean 0.

    The deviation is such that after the blur of a usual scanner coarse and fine chromatin have
    the same range of tones, so that the pattern alone tells them apart, not the histogram.

    Args:
        generator: where chance comes from.
        size: side of the image.
        clump: standard deviation of a clump's outline: small is fine and lacy, large is blocky.
    """
    noise = generator.standard_normal((size, size), dtype=np.float32)
    pattern = np.tanh(1.5 * _unit(cv2.GaussianBlur(noise, (0, 0), clump)))
    blur = _USUAL_BLUR * size / 128
    return np.asarray(_CONTRAST * np.hypot(1.0, blur / clump) * _unit(pattern), np.float32)


def _unit(values: NDArray[Any]) -> Field:
    return np.asarray((values - values.mean()) / values.std(), np.float32)


def draw_red_cell(
    maps: Field, generator: np.random.Generator, row: float, column: float, radius: float
) -> None:
    """Draw a red cell with its paler centre into the maps float32 (3, size, size)."""
    window, alpha, distance = _outline(maps.shape[1], generator, row, column, radius, 0.03, 0.0)
    dye = alpha * (0.45 + 0.55 * np.clip(distance, 0.2, 0.9))
    target = maps[(RED_CELL, *window)]
    np.maximum(target, dye, out=target)


def draw_smudge(
    maps: Field, generator: np.random.Generator, row: float, column: float, radius: float
) -> None:
    """Draw the pale remains of a burst cell into the maps float32 (3, size, size)."""
    reach = 1.3 * radius  # its edge is drawn out: half of the dye lies beyond 0.8 of the radius
    window, _, distance = _outline(maps.shape[1], generator, row, column, reach, 0.06, 0.0)
    target = maps[(CYTOPLASM, *window)]
    dye = np.clip((1 - distance) / 0.45, 0, 1) * np.float32(generator.uniform(0.8, 1.1))
    np.maximum(target, dye, out=target)


def draw_platelet(
    maps: Field, generator: np.random.Generator, row: float, column: float, radius: float
) -> None:
    """Draw a platelet into the maps float32 (3, size, size)."""
    window, alpha, _ = _outline(maps.shape[1], generator, row, column, radius, 0.05, 0.0)
    target = maps[(NUCLEUS, *window)]
    np.maximum(target, 0.5 * alpha, out=target)


def draw_cell(maps: Field, generator: np.random.Generator, cell: Cell, pattern: Field) -> None:
    """Draw a nucleated cell over whatever lies there.

    Args:
        maps: dye float32 (3, size, size), changed in place.
        generator: where chance comes from.
        cell: what to draw.
        pattern: the chromatin of this image, see `chromatin`.
    """
    size = maps.shape[1]
    window, alpha, _ = _outline(size, generator, cell.row, cell.column, cell.body, 0.04, 0.0)
    part = maps[(slice(None), *window)]
    part *= 1 - alpha
    part[CYTOPLASM] += alpha * np.float32(cell.basophilia)

    slack = 0.6 * (cell.body - cell.nucleus)  # the nucleus of a cell lies off its centre
    angle = generator.uniform(0, 2 * np.pi)
    row = cell.row + slack * np.sin(angle)
    column = cell.column + slack * np.cos(angle)
    window, alpha, distance = _outline(size, generator, row, column, cell.nucleus, 0.03, cell.cleft)
    rim = 0.12 * np.clip((distance - 0.7) / 0.3, 0, 1)  # chromatin gathers along the membrane
    dye = np.clip(1 + pattern[window] + rim, 0.15, 2.0)
    for _ in range(cell.nucleoli):
        away, angle = 0.55 * np.sqrt(generator.random()), generator.uniform(0, 2 * np.pi)
        spot = _spot(
            window,
            row + away * cell.nucleus * np.sin(angle),
            column + away * cell.nucleus * np.cos(angle),
            generator.uniform(0.19, 0.26) * cell.nucleus,
        )
        dye *= 1 - 0.5 * spot
    part = maps[(slice(None), *window)]
    part *= 1 - alpha
    part[NUCLEUS] += alpha * dye


def scatter(
    generator: np.random.Generator, size: int, radii: Sequence[float], overlap: float
) -> list[tuple[float, float]]:
    """Lay discs of these radii into a square so that they overlap little.

    Args:
        generator: where chance comes from.
        size: side of the square.
        radii: of the discs, in the order in which they are laid.
        overlap: share of the sum of two radii by which discs may overlap.

    Returns:
        Row and column of every centre; where no free place turns up, the last one tried.
    """
    laid: list[tuple[float, float]] = []
    for i, radius in enumerate(radii):
        inset = min(0.6 * radius, 0.45 * size)
        place = (0.0, 0.0)
        for _ in range(30):
            row, column = generator.uniform(inset, size - inset, size=2)
            place = (float(row), float(column))
            if all(
                np.hypot(row - y, column - x) > (1 - overlap) * (radius + radii[j])
                for j, (y, x) in enumerate(laid[:i])
            ):
                break
        laid.append(place)
    return laid


Window = tuple[slice, slice]


def _outline(
    size: int,
    generator: np.random.Generator,
    row: float,
    column: float,
    radius: float,
    unrest: float,
    cleft: float,
) -> tuple[Window, Field, Field]:
    """Fill a wavy outline; return its window, coverage in [0, 1] and distance in radii."""
    reach = radius * (1 + 5 * unrest) + 2
    window = _window(size, row, column, reach)
    down, across = _offsets(window, row, column)
    angle = np.arctan2(down, across)
    edge = np.ones_like(angle)
    for waves in (2, 3, 4):
        edge += generator.normal(0, unrest) * np.cos(
            waves * angle + generator.uniform(0, 2 * np.pi)
        )
    if cleft > 0:
        turn = generator.uniform(-np.pi, np.pi)
        away = np.abs((angle - turn + np.pi) % (2 * np.pi) - np.pi)
        edge -= cleft * np.exp(-((away / 0.4) ** 2))
    distance = np.hypot(down, across) / (radius * edge)
    alpha = np.clip((1 - distance) * radius + 0.5, 0, 1)
    return window, alpha.astype(np.float32), distance.astype(np.float32)


def _spot(window: Window, row: float, column: float, radius: float) -> Field:
    down, across = _offsets(window, row, column)
    return np.asarray(np.exp(-(((down**2 + across**2) / radius**2) ** 2)), np.float32)


def _window(size: int, row: float, column: float, reach: float) -> Window:
    top, left = (int(np.clip(np.floor(c - reach), 0, size)) for c in (row, column))
    bottom, right = (int(np.clip(np.ceil(c + reach) + 1, 0, size)) for c in (row, column))
    return slice(top, bottom), slice(left, right)


def _offsets(window: Window, row: float, column: float) -> tuple[Field, Field]:
    rows, columns = window
    down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(row)
    across = np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(column)
    return np.broadcast_to(down, (down.size, across.size)), np.broadcast_to(
        across, (down.size, across.size)
    )
