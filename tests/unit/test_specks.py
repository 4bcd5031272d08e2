"""Lone pixels are replaced, everything else stays."""

import cv2
import numpy as np

from common.imaging.specks import without_specks
from common.imaging.synthetic import calibration_smears

SMEAR = calibration_smears(31, 1, 160)[0]


def test_hot_dead_and_coloured_pixels_become_the_median_around_them() -> None:
    spoilt = SMEAR.copy()
    places = [(0, 0), (7, 40), (60, 159), (100, 80), (101, 110)]
    for (row, column), colour in zip(
        places, [(255, 0, 0), (0, 0, 0), (255, 255, 0), (0, 255, 0), (0, 0, 255)], strict=True
    ):
        spoilt[row, column] = colour
    cleaned = without_specks(spoilt)
    median = cv2.medianBlur(spoilt, 3)
    for row, column in places:
        np.testing.assert_array_equal(cleaned[row, column], median[row, column])
        assert np.abs(cleaned[row, column].astype(int) - SMEAR[row, column]).max() < 45


def test_salt_and_pepper_is_mostly_gone() -> None:
    generator = np.random.default_rng(7)
    spoilt = SMEAR.copy()
    hit = generator.random(SMEAR.shape[:2]) < 0.01
    spoilt[hit] = np.where(generator.random(int(hit.sum()))[:, None] < 0.5, 0, 255)
    before = np.abs(spoilt.astype(int) - SMEAR)[hit].mean()
    assert np.abs(without_specks(spoilt).astype(int) - SMEAR)[hit].mean() < 0.15 * before


def test_a_smear_and_camera_noise_stay_as_they_are() -> None:
    assert without_specks(SMEAR) is SMEAR
    noise = np.random.default_rng(8).normal(0, 5, SMEAR.shape)
    noisy = np.clip(SMEAR + noise, 0, 255).astype(np.uint8)
    assert (without_specks(noisy) != noisy).any(axis=2).mean() < 1e-3


def test_thin_lines_and_edges_stay() -> None:
    image = np.full((40, 40, 3), 240, np.uint8)
    image[10, 5:35] = 30
    image[15:35, 20] = 30
    image[20:, :10] = 60
    assert (without_specks(image) != image).any(axis=2).sum() <= 4  # the ends of the two lines


def test_cleaning_twice_is_cleaning_once() -> None:
    spoilt = SMEAR.copy()
    spoilt[::13, ::17] = (255, 0, 255)
    once = without_specks(spoilt)
    np.testing.assert_array_equal(without_specks(once), once)
    assert (once != spoilt).any()
