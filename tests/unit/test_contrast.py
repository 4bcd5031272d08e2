import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from common.imaging.contrast import camsr, clahe
from common.imaging.stain import white_balance

Image = NDArray[np.uint8]


def smear(seed: int, height: int = 224, width: int = 224) -> Image:
    """Dark discs on an unevenly lit, noisy field."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    image = 200.0 + 40.0 * x[..., None] / width + generator.normal(0, 4, (height, width, 3))
    for _ in range(12):
        centre, radius = generator.random(2) * (height, width), generator.uniform(6, 18)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        image[inside] -= generator.uniform((40, 90, 10), (90, 150, 60))
    return np.asarray(np.clip(image, 0, 255), dtype=np.uint8)


def lightness(image: Image) -> Image:
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[:, :, 0], dtype=np.uint8)


def exact_camsr_lightness(image: Image) -> NDArray[np.float64]:
    """The formula in the docstring, by scipy, in float64, at full resolution."""
    shown = lightness(image)
    light = shown.astype(np.float64) + 1.0
    scales = [s * min(light.shape) for s in (0.03, 0.16, 0.5)]
    blurs = [gaussian_filter(light, sigma, mode="reflect", truncate=5.0) for sigma in scales]
    retinex = np.mean([np.log(light) - np.log(blur) for blur in blurs], axis=0)
    low, high = np.percentile(retinex, (1, 99))
    stretched = np.clip((retinex - low) * 255.0 / (high - low), 0, 255)
    equalised = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(shown)
    return np.asarray((stretched + equalised) / 2.0)


@pytest.mark.parametrize("shape", [(224, 224), (192, 224), (97, 301), (400, 300)])
def test_camsr_is_the_full_computation_within_one_level(shape: tuple[int, int]) -> None:
    image = smear(1, *shape)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = np.rint(exact_camsr_lightness(image))
    expected = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype(int)
    difference = np.abs(camsr(image).astype(int) - expected)
    assert difference.mean() < 1.0
    assert np.percentile(difference, 99.9) <= 4


def test_clahe_changes_lightness_only() -> None:
    image = smear(3)
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lightness(image))
    difference = lightness(clahe(image)).astype(int) - expected
    assert np.percentile(np.abs(difference), 99) <= 2  # Lab in 8 bits does not invert exactly


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_flat_image_stays_flat(value: int) -> None:
    image = np.full((60, 80, 3), value, np.uint8)
    for change in (camsr, clahe, white_balance):
        assert np.ptp(change(image)) <= 1


def test_white_balance_puts_the_background_at_245() -> None:
    image = smear(4)
    tinted = (image * np.array([0.9, 0.7, 0.8])).astype(np.uint8)
    balanced = white_balance(tinted)
    high = np.percentile(balanced, 95, axis=(0, 1), method="inverted_cdf")
    np.testing.assert_allclose(high, 245, atol=1)
    background = np.percentile(tinted, 95, axis=(0, 1), method="inverted_cdf")
    expected = np.clip(np.rint(tinted * (245.0 / background)), 0, 255)
    np.testing.assert_array_equal(balanced, expected.astype(np.uint8))


def test_the_input_is_left_alone() -> None:
    image = smear(5)
    before = image.copy()
    for change in (camsr, clahe, white_balance):
        change(image)
    np.testing.assert_array_equal(image, before)
