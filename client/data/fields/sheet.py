"""A contact sheet of pairs, for the hospital's eyes only."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from client.data.fields.features import features, working_scale
from client.data.fields.finding import Pair
from client.data.fields.geometry import Agreement, agreement
from common.imaging.decode import decode

_SIDE = 240  # of a picture on the sheet
_ACROSS = 3  # pairs in a row
_GAP = 8
_TEXT = 22
_DOT = (0, 160, 0)


def contact_sheet(pairs: Sequence[Pair], most: int = 30) -> NDArray[np.uint8]:
    """Draw pairs side by side, those with fewest agreeing keypoints first: uint8 RGB.

    Green dots mark keypoints that agree; the number of them stands above. `mirrored`: the pair
    agrees when one image is seen in a mirror.

    Args:
        pairs: at least one.
        most: how many are drawn.
    """
    chosen = sorted(pairs, key=lambda pair: (pair.inliers, pair.first, pair.second))[:most]
    tiles = [_tile(pair) for pair in chosen]
    while len(tiles) % _ACROSS:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.hstack(tiles[at : at + _ACROSS]) for at in range(0, len(tiles), _ACROSS)]
    return np.vstack(rows)


def _tile(pair: Pair) -> NDArray[np.uint8]:
    data = [pair.first.read_bytes(), pair.second.read_bytes()]
    first, second = (features(one)[0] for one in data)
    upright, mirrored = agreement(first, second), agreement(first, second, mirrored=True)
    found = max(upright, mirrored, key=lambda one: one.inliers)
    pictures = [decode(one) for one in data]
    tile = np.full((_SIDE + _TEXT + _GAP, 2 * _SIDE + 3 * _GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        left = _GAP + number * (_SIDE + 2)
        small = _small(_dotted(picture, found, number))
        tile[_TEXT : _TEXT + small.shape[0], left : left + small.shape[1]] = small
    text = f"{pair.inliers}{' mirrored' if found.mirrored else ''}"
    cv2.putText(tile, text, (_GAP, _TEXT - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1)
    return tile


def _dotted(picture: NDArray[np.uint8], found: Agreement, number: int) -> NDArray[np.uint8]:
    """Mark the agreeing keypoints where they lie in the picture as it was photographed."""
    marked = picture.copy()
    height, width = picture.shape[:2]
    scale = working_scale(height, width)
    for column, row in (found.first, found.second)[number] / scale:
        x = width - 1 - column if found.mirrored and number == 0 else column
        cv2.circle(marked, (round(float(x)), round(float(row))), max(1, height // 120), _DOT, -1)
    return marked


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _SIDE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
