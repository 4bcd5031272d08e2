from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from common.imaging.colour import COLOUR_STATISTICS, colour_statistics
from common.imaging.pipeline import preparation_digest, prepare, to_model_input
from common.study.imaging import Crop, Imaging, Rectangle

PLAIN = Imaging(size=64, contrast="none")


def picture(height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def test_nothing_to_do_changes_nothing() -> None:
    np.testing.assert_array_equal(prepare(picture(), PLAIN), picture())


def test_crop_cuts_fractions_of_each_edge() -> None:
    settings = Imaging(
        size=32, contrast="none", crop=Crop(top=0.25, bottom=0.25, left=0.1, right=0.4)
    )
    np.testing.assert_array_equal(prepare(picture(64, 64), settings), picture()[16:48, 6:38])


def test_mask_paints_the_median_of_what_crop_and_mask_leave() -> None:
    settings = Imaging(
        size=32,
        contrast="none",
        crop=Crop(bottom=0.5, right=0.5),
        mask=(Rectangle(top=0.25, bottom=0.75, left=0.25, right=0.375),),
    )
    image = picture()
    expected = image[:32, :32].copy()
    rest = np.concatenate(
        [expected[:16].reshape(-1, 3), expected[16:, :16].reshape(-1, 3),
         expected[16:, 24:].reshape(-1, 3)]
    )  # fmt: skip
    expected[16:, 16:24] = np.median(rest, axis=0).astype(np.uint8)
    np.testing.assert_array_equal(prepare(image, settings), expected)


def test_shrinking_averages() -> None:
    image = picture(96, 128)
    expected = image.reshape(32, 3, 32, 4, 3).mean(axis=(1, 3))
    got = prepare(image, Imaging(size=32, contrast="none"))
    np.testing.assert_allclose(got, expected, atol=0.51)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (224, 224), (700, 40)])
@pytest.mark.parametrize("contrast", ["camsr", "clahe", "none"])
def test_any_shape_becomes_a_square(shape: tuple[int, int], contrast: str) -> None:
    settings = Imaging.model_validate(
        {"contrast": contrast, "stain": "white_balance", "crop": {"bottom": 0.143}}
    )
    image = prepare(picture(*shape), settings)
    assert image.shape == (299, 299, 3)
    assert image.dtype == np.uint8


def test_threads_change_no_bit(threads: None) -> None:
    image, results = picture(500, 400), []
    for count in (1, 2, 4):
        cv2.setNumThreads(count)
        results.append(prepare(image, Imaging(stain="white_balance")))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_model_input() -> None:
    images = np.stack([picture(), 255 - picture()])
    got = to_model_input(images)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    expected = np.moveaxis(images.astype(np.float64) / 127.5 - 1.0, -1, 1)
    np.testing.assert_allclose(got, expected, atol=1e-7)
    assert (got.min(), got.max()) == (-1.0, 1.0)


def test_every_setting_changes_the_digest() -> None:
    settings = [
        Imaging(),
        Imaging(size=224),
        Imaging(crop=Crop(bottom=0.143)),
        Imaging(mask=(Rectangle(top=0, bottom=1, left=0, right=0.1),)),
        Imaging(stain="white_balance"),
        Imaging(contrast="none"),
    ]
    assert len({preparation_digest(s) for s in settings}) == len(settings)
    assert preparation_digest(Imaging()) == preparation_digest(Imaging(crop=Crop()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": {"top": 0.5, "bottom": 0.5}},
        {"crop": {"left": -0.1}},
        {"mask": [{"top": 0.5, "bottom": 0.5, "left": 0, "right": 1}]},
        {"size": 0},
        {"contrast": "retinex"},
        {"contrasts": "camsr"},
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Imaging.model_validate(wrong)


def test_colour_statistics_by_hand() -> None:
    image = picture(20, 30)
    got = dict(zip(COLOUR_STATISTICS, colour_statistics(image), strict=True))
    green = image[:, :, 1].astype(np.float64)
    assert got["green-mean"] == pytest.approx(green.mean())
    assert got["green-deviation"] == pytest.approx(green.std())
    assert got["green-10th percentile"] == pytest.approx(np.quantile(green, 0.1))
    assert got["green-90th percentile"] == pytest.approx(np.quantile(green, 0.9))
    grey = np.full((9, 9, 3), 119, np.uint8)  # L* = 50: 127.5 in 8 bits; a = b = 0: 128
    grey_statistics = dict(zip(COLOUR_STATISTICS, colour_statistics(grey), strict=True))
    assert grey_statistics["lightness-mean"] == pytest.approx(127.5, abs=1)
    assert (grey_statistics["a-mean"], grey_statistics["b-deviation"]) == (128, 0)


def test_colour_statistics_do_not_see_where_a_pixel_lies() -> None:
    image = picture(20, 30)
    shuffled = np.random.default_rng(1).permutation(image.reshape(-1, 3)).reshape(image.shape)
    np.testing.assert_allclose(colour_statistics(shuffled), colour_statistics(image))
