"""The part of a picture that is looked at: the lit field of the microscope, or the nuclei."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.channels import brightest
from common.imaging.reduced import enlarged, reduced
from common.imaging.segmentation import nuclei
from common.study.imaging import Nuclei

_LONGEST = 512  # a field's edge is found to within a pixel of a copy this large
_DARK = 0.2  # of the lit background's level: no stain takes as much of all three colours
_SMALLEST = 0.05  # share of the image; less is no field, and the image is taken whole
_MARGIN = 0.125  # of the nuclei's box, on each side


@dataclass(frozen=True)
class Found:
    """A part of a picture.

    Args:
        rows: of its bounding box.
        columns: of its bounding box.
        outside: bool (height, width) of the whole picture: dark pixels that are not the field.
    """

    rows: slice
    columns: slice
    outside: NDArray[np.bool_]


def lit_field(image: NDArray[np.uint8]) -> Found:
    """Find the field that a round aperture or a vignette leaves.

    A pixel is lit if its brightest channel reaches a fifth of the 95th percentile of the
    image's. The field is the largest connected piece of them with its holes filled, so that a dark
    nucleus inside stays. A piece of less than a twentieth of the image is none: the image is then
    taken whole, as is one without a dark border.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    height, width = image.shape[:2]
    light = brightest(reduced(image, _LONGEST))
    lit = (light >= max(1.0, _DARK * np.percentile(light, 95))).astype(np.uint8)
    _, pieces, statistics, _ = cv2.connectedComponentsWithStats(lit, connectivity=4)
    field = np.zeros_like(lit)
    if len(statistics) > 1:
        field = (pieces == 1 + statistics[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    outlines, _ = cv2.findContours(field, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(field, outlines, -1, 1, thickness=cv2.FILLED)
    inner = cv2.erode(filled, np.ones((3, 3), dtype=np.uint8))  # the rim is half dark
    if inner.mean() < _SMALLEST:
        return Found(slice(0, height), slice(0, width), np.zeros((height, width), dtype=np.bool_))
    found = enlarged(np.asarray(inner, dtype=np.bool_), height, width)
    return Found(_span(found, 1), _span(found, 0), ~found)


def box_of_nuclei(
    image: NDArray[np.uint8], thresholds: Nuclei, smallest: int
) -> tuple[slice, slice]:
    """Return the rows and columns of the box around all nuclei, with an eighth more on each side.

    Without nuclei it is the whole image, and it is never narrower than `smallest` pixels where the
    image is not.

    Args:
        image: uint8 (height, width, 3), RGB.
        thresholds: what counts as a nucleus.
        smallest: least height and width.
    """
    found = nuclei(image, thresholds)
    if not found.any():
        return slice(0, image.shape[0]), slice(0, image.shape[1])
    rows, columns = (
        _widened(_span(found, axis), length, smallest)
        for axis, length in zip((1, 0), image.shape[:2], strict=True)
    )
    return rows, columns


def _span(mask: NDArray[np.bool_], axis: int) -> slice:
    places = np.flatnonzero(mask.any(axis=axis))
    return slice(int(places[0]), int(places[-1]) + 1)


def _widened(span: slice, length: int, smallest: int) -> slice:
    needed = span.stop - span.start
    margin = max(round(_MARGIN * needed), -(-(min(smallest, length) - needed) // 2))
    start = min(max(0, span.start - margin), max(0, length - smallest))
    return slice(start, max(min(length, span.stop + margin), min(length, start + smallest)))
