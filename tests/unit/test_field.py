"""The lit field and the nuclei's box, against what was drawn."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from common.imaging.field import box_of_nuclei, lit_field
from common.study.imaging import Nuclei

Image = NDArray[np.uint8]


def aperture(height: int, width: int, row: int, column: int, radius: int) -> Image:
    image = np.full((height, width, 3), 5, np.uint8)
    cv2.circle(image, (column, row), radius, (225, 230, 240), -1)
    cv2.circle(image, (column, row), radius // 4, (20, 10, 30), -1)  # dark, and inside
    return image


@pytest.mark.parametrize("scale", [1, 2, 8])
def test_a_round_aperture_is_cut_out_and_its_corners_are_outside(scale: int) -> None:
    found = lit_field(aperture(200 * scale, 300 * scale, 90 * scale, 160 * scale, 70 * scale))
    slack = 2 * scale + 2
    assert abs(found.rows.start - 20 * scale) <= slack
    assert abs(found.rows.stop - 160 * scale) <= slack
    assert abs(found.columns.start - 90 * scale) <= slack
    assert abs(found.columns.stop - 230 * scale) <= slack
    rows, columns = np.mgrid[0 : 200 * scale, 0 : 300 * scale]
    distance = np.hypot(rows - 90 * scale, columns - 160 * scale)
    assert not found.outside[distance < 70 * scale - slack].any()
    assert found.outside[distance > 70 * scale + 1].all()


def test_without_a_dark_border_the_image_is_taken_whole() -> None:
    image = np.full((90, 120, 3), 230, np.uint8)
    cv2.circle(image, (60, 45), 20, (90, 40, 150), -1)
    cv2.circle(image, (0, 45), 12, (90, 40, 150), -1)  # a nucleus at the edge is no border
    found = lit_field(image)
    assert (found.rows, found.columns) == (slice(0, 90), slice(0, 120))
    assert not found.outside.any()


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_image_is_taken_whole(level: int) -> None:
    found = lit_field(np.full((40, 30, 3), level, np.uint8))
    assert (found.rows, found.columns) == (slice(0, 40), slice(0, 30))
    assert not found.outside.any()


def test_a_pinhole_is_no_field() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[90:110, 90:110] = 255
    assert lit_field(image).rows == slice(0, 200)


def nucleus_at(row: int, column: int) -> Image:
    image = np.full((200, 260, 3), 245, np.uint8)
    cv2.circle(image, (column, row), 20, (118, 70, 170), -1)
    return image


def test_the_nuclei_are_boxed_with_a_margin() -> None:
    image = np.maximum(0, nucleus_at(60, 60))
    cv2.circle(image, (180, 100), 20, (118, 70, 170), -1)
    rows, columns = box_of_nuclei(image, Nuclei(), 32)
    for found, first, last in ((rows, 40, 121), (columns, 40, 201)):
        margin = 0.125 * (last - first)
        assert abs(found.start - (first - margin)) <= 2
        assert abs(found.stop - (last + margin)) <= 2


@pytest.mark.parametrize(("row", "column"), [(100, 130), (5, 5), (195, 255)])
def test_the_box_is_not_smaller_than_asked_and_stays_inside(row: int, column: int) -> None:
    rows, columns = box_of_nuclei(nucleus_at(row, column), Nuclei(), 128)
    assert rows.stop - rows.start >= 128
    assert columns.stop - columns.start >= 128
    assert 0 <= rows.start < rows.stop <= 200
    assert 0 <= columns.start < columns.stop <= 260
    assert rows.start <= max(0, row - 20)
    assert columns.stop >= min(260, column + 20)


def test_without_nuclei_or_in_a_small_image_all_is_kept() -> None:
    whole = (slice(0, 50), slice(0, 60))
    assert box_of_nuclei(np.full((50, 60, 3), 240, np.uint8), Nuclei(), 32) == whole
    assert box_of_nuclei(nucleus_at(100, 130)[75:125, 100:160], Nuclei(), 299) == whole
