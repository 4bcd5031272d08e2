"""Scale bars and lettering that a camera's software burned into a picture, found by their look."""

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.channels import brightest, darkest
from common.imaging.reduced import enlarged, reduced

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # top, bottom, left, right; bottom and right are outside

_LONGEST = 1024
_BAND = 0.22  # of the side: a bar lies wholly within so much of an edge
_STROKE = 0.032  # of the short side: the widest stroke
_DEPTH = 40  # levels by which a stroke is darker than what it is drawn on, in its darkest channel
_BLACK = 110  # brightest channel of black ink
_NEUTRAL = 28  # largest difference between its channels: nuclei and pigment are bluer
_COLOURED = 0.33  # least saturation of coloured ink
_FOREIGN = (320.0, 205.0)  # hues, from red over green to cyan, that no stained nucleus has
_GAP = 0.045  # of the short side: letters and ticks nearer than that belong together
_LONG = 0.06  # of the short side: least length of a bar with its lettering
_TALL = 0.16  # of the short side: greatest height
_ELONGATED = 1.3  # least ratio of length to height
_FEWEST = 8  # pixels of ink
_WHITE = 244  # darkest channel of the plate that lettering may lie on
_MARGIN = (0.015, 0.03)  # of the short side, above and beside: JPEG smears, and ticks are faint
_MOST = 0.15  # of the image: more is no scale bar, and nothing is masked


def scale_bar(image: Image) -> Mask:
    """Find bars, ticks and letters near an edge, with the white plate under them if there is one.

    Ink is what no stain looks like, in strokes: neutral black, or red, yellow, green or cyan, at
    least 40 levels darker than its surroundings and nowhere wider than 3 % of the short side.
    Pieces of ink that lie close together are one; it counts if it is wider than high and lies
    within 22 % of an edge. Its box is widened over a uniformly white plate, and by 1.5 % above
    and 3 % beside, for what JPEG smears and for faint ticks. White lettering is not found, nor
    what stands upright or was drawn in the colours of the stain.

    Args:
        image: uint8 (height, width, 3), RGB.

    Returns:
        bool (height, width).
    """
    height, width = image.shape[:2]
    small = reduced(image, _LONGEST)
    ink = _ink(small)
    found = np.zeros(ink.shape, dtype=np.bool_)
    for box in _lines(ink):
        top, bottom, left, right = _with_plate(box, small, ink)
        found[top:bottom, left:right] = True
    if found.mean() > _MOST:
        found[:] = False
    return enlarged(found, height, width)


def _ink(image: Image) -> Mask:
    stroke = max(3, round(_STROKE * min(image.shape[:2]))) | 1
    kernel = np.ones((stroke, stroke), dtype=np.uint8)
    dark, bright = darkest(image), brightest(image)
    depth = cv2.morphologyEx(dark, cv2.MORPH_BLACKHAT, kernel)
    is_black = (bright <= _BLACK) & (bright - dark <= _NEUTRAL)
    hue, saturation, _ = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    first, last = (degrees / 2 for degrees in _FOREIGN)
    is_foreign = (saturation >= 255 * _COLOURED) & ((hue >= first) | (hue <= last))
    return np.asarray((depth > _DEPTH) & (is_black | is_foreign), dtype=np.bool_)


def _lines(ink: Mask) -> list[Box]:
    """Return the boxes of pieces of ink that look like a bar or a line of letters."""
    height, width = ink.shape
    side = min(height, width)
    reach = max(1, round(_GAP * side / 2))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    joined = cv2.dilate(ink.astype(np.uint8), kernel)
    count, pieces = cv2.connectedComponents(joined)
    inked = np.bincount(pieces[ink], minlength=count)
    boxes = []
    for piece in np.flatnonzero(inked >= _FEWEST):
        rows, columns = np.nonzero(ink & (pieces == piece))
        top, bottom = int(rows.min()), int(rows.max()) + 1
        left, right = int(columns.min()), int(columns.max()) + 1
        high, long = bottom - top, right - left
        nearest = min(bottom / height, right / width, 1 - top / height, 1 - left / width)
        is_line = long >= max(_LONG * side, _ELONGATED * high) and high <= _TALL * side
        if is_line and nearest <= _BAND:
            boxes.append((top, bottom, left, right))
    return boxes


def _with_plate(box: Box, image: Image, ink: Mask) -> Box:
    """Widen a box over white on each side, by no more than its own length, and by a margin."""
    is_plate = (darkest(image) >= _WHITE) | ink
    height, width = ink.shape
    top, bottom, left, right = box
    reach = max(bottom - top, right - left)
    for _ in range(reach):
        before = (top, bottom, left, right)
        if top > 0 and is_plate[top - 1, left:right].mean() > 0.9:
            top -= 1
        if bottom < height and is_plate[bottom, left:right].mean() > 0.9:
            bottom += 1
        if left > 0 and is_plate[top:bottom, left - 1].mean() > 0.9:
            left -= 1
        if right < width and is_plate[top:bottom, right].mean() > 0.9:
            right += 1
        if before == (top, bottom, left, right):
            break
    side = min(height, width)
    down, across = max(1, round(_MARGIN[0] * side)), max(1, round(_MARGIN[1] * side))
    return (
        max(0, top - down), min(height, bottom + down),
        max(0, left - across), min(width, right + across),
    )  # fmt: skip
