"""Marks that a camera burnt in: bars, boxes and text, found by edges that no lens draws."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_BAND = 0.2  # share of the shorter side, from the rim, where marks are looked for
_LEAST_STEP = 35  # grey levels, in any channel
# A lens and a sensor's filter draw an edge over two pixels at least. An edge is artificial where
# one step between two pixels holds this share of the range over the four pixels around it.
_SUDDEN = 0.7
_WINDOW = (0.03, 0.10)  # height and width of a short line of text, as shares of the image's
_SMALLEST_WINDOW = (7, 22)  # in pixels
_LEAST_SIDE = 128  # in smaller images a cell's rim is as sudden as a letter's


@dataclass(frozen=True)
class Marks:
    """What looks burnt in near the rim.

    Args:
        line: longest straight sudden edge along a row or a column, as a share of the shorter side.
        text: largest share of sudden steps from left to right in a window as large as a short
            line of text, in 0..1.
    """

    line: float
    text: float


def marks(image: NDArray[np.uint8]) -> Marks:
    """Look for burnt-in bars, boxes and text within a fifth of the shorter side from the rim.

    Args:
        image: uint8 (height, width, 3), RGB, as decoded: a smaller copy has no sudden edges.

    Returns:
        Zeros for an image whose shorter side is below 128 pixels: it is too coarse to tell.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    if side < _LEAST_SIDE:
        return Marks(0.0, 0.0)
    band = int(_BAND * side)
    strips = [image[:band], image[-band:], image[band:-band, :band], image[band:-band, -band:]]
    window = [
        max(smallest, round(share * length))
        for smallest, share, length in zip(_SMALLEST_WINDOW, _WINDOW, (height, width), strict=True)
    ]
    line, text = 0, 0.0
    for strip in strips:
        rightwards = _steps(strip)
        downwards = _steps(strip.transpose(1, 0, 2))
        line = max(line, *map(_longest_run, (*rightwards, *downwards)))
        text = max(text, _densest(rightwards[0] | rightwards[1], window))
    return Marks(line / side, text)


def _steps(strip: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find sudden steps between columns, down and up: two of bool (height, width - 3)."""
    down = np.zeros((strip.shape[0], strip.shape[1] - 3), np.bool_)
    up = np.zeros_like(down)
    for channel in range(3):  # one after the other: a third of the memory
        levels = strip[..., channel].astype(np.int16)
        around = [levels[:, i : levels.shape[1] - 3 + i] for i in range(4)]
        least = np.minimum.reduce(around)
        span = np.maximum.reduce(around) - least
        step = around[2] - around[1]
        sudden = (np.abs(step) > _LEAST_STEP) & (np.abs(step) > _SUDDEN * span)
        down |= sudden & (step < 0)
        up |= sudden & (step > 0)
    return down, up


def _longest_run(found: NDArray[np.bool_]) -> int:
    """Return the longest run of True down any column."""
    run = np.zeros(found.shape[1], np.int32)
    longest = 0
    for row in found:
        run += 1
        run *= row
        longest = max(longest, int(run.max()))
    return longest


def _densest(found: NDArray[np.bool_], window: list[int]) -> float:
    """Return the largest share of True in a window of this height and width."""
    height, width = (min(w, f) for w, f in zip(window, found.shape, strict=True))
    shares = cv2.boxFilter(
        found.astype(np.float32), -1, (width, height), borderType=cv2.BORDER_CONSTANT
    )
    return float(shares.max())
