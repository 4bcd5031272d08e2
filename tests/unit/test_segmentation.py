"""Nuclei by colour: against what was drawn, and against matplotlib's HSV."""

import cv2
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv
from numpy.typing import NDArray

from common.imaging.segmentation import nuclei
from common.imaging.synthetic import calibration_smears
from common.study.imaging import Nuclei

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
PURPLE, PINK, BLUE, EMPTY = (118, 70, 170), (225, 180, 195), (180, 200, 235), (245, 245, 245)


def drawn(scale: int = 1) -> tuple[Image, Mask]:
    """Three nuclei, one of them beside a red cell and one in blue cytoplasm, and a speck."""
    image = np.full((200 * scale, 240 * scale, 3), EMPTY, np.uint8)
    truth = np.zeros(image.shape[:2], np.uint8)
    for x, y, r, colour in ((60, 60, 26, PINK), (150, 70, 30, BLUE), (40, 150, 26, PINK)):
        cv2.circle(image, (x * scale, y * scale), r * scale, colour, -1)
    for x, y, r in ((100, 60, 16), (150, 70, 20), (200, 160, 18)):
        cv2.circle(image, (x * scale, y * scale), r * scale, PURPLE, -1)
        cv2.circle(truth, (x * scale, y * scale), r * scale, 1, -1)
    cv2.circle(image, (20 * scale, 20 * scale), 2 * scale, PURPLE, -1)
    cv2.circle(image, (200 * scale, 160 * scale), 3 * scale, EMPTY, -1)  # a pale nucleolus
    return image, truth.astype(np.bool_)


def overlap(found: Mask, truth: Mask) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("scale", [1, 3, 10])
def test_nuclei_are_found_as_drawn_at_any_resolution(scale: int) -> None:
    image, truth = drawn(scale)
    found = nuclei(image, Nuclei())
    assert found.dtype == np.bool_
    assert found.shape == truth.shape
    assert overlap(found, truth) > 0.95


def test_a_colour_cast_of_the_lamp_changes_little() -> None:
    image, truth = drawn()
    for cast in ((1.0, 0.94, 0.75), (0.8, 0.9, 1.0)):
        yellowish = (image * np.array(cast)).astype(np.uint8)
        assert overlap(nuclei(yellowish, Nuclei()), truth) > 0.9


def test_the_thresholds_are_hue_and_saturation_as_matplotlib_has_them() -> None:
    generator = np.random.default_rng(5)
    tones = generator.integers(40, 246, (12, 12, 3), dtype=np.uint8)
    tones[0, 0] = 245  # the lamp is white already
    image = np.kron(tones, np.ones((16, 16, 1), np.uint8))
    image[:, -40:] = 245
    hsv = rgb_to_hsv(image.astype(np.float64) / 255)
    otsu, _ = cv2.threshold(
        np.rint(hsv[..., 1] * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU
    )
    settings = Nuclei(hue=(200.0, 330.0), saturation=0.1, area=0.0)
    expected = (hsv[..., 0] * 360 >= 200) & (hsv[..., 0] * 360 <= 330)
    expected &= hsv[..., 1] >= max(0.1, otsu / 255)
    inner = np.zeros_like(expected)
    inner[5:-5:16, 5:-5:16] = True  # one pixel of each tile, away from its edges
    assert (nuclei(image, settings) == expected)[inner].mean() > 0.97


def test_a_range_of_hues_may_pass_through_red() -> None:
    image = np.full((60, 60, 3), 245, np.uint8)
    image[20:40, 20:40] = (200, 60, 70)
    assert not nuclei(image, Nuclei()).any()
    found = nuclei(image, Nuclei(hue=(330.0, 20.0)))
    assert overlap(found[22:38, 22:38], np.ones((16, 16), np.bool_)) == 1.0
    assert not found[:15].any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_image_has_no_nuclei(level: int) -> None:
    assert not nuclei(np.full((50, 70, 3), level, np.uint8), Nuclei()).any()
    noise = np.random.default_rng(6).integers(-3, 4, (50, 70, 3))
    noisy = np.clip(level + noise, 0, 255).astype(np.uint8)
    assert nuclei(noisy, Nuclei()).mean() < 0.02


def test_generated_smears_hold_some() -> None:
    shares = [nuclei(image, Nuclei()).mean() for image in calibration_smears(21, 6, 160)]
    assert min(shares) > 0.03
    assert max(shares) < 0.4
