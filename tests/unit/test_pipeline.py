from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from common.imaging.colour import COLOUR_STATISTICS, colour_statistics
from common.imaging.pipeline import preparation_digest, prepare, steps, to_model_input
from common.imaging.synthetic import calibration_smears
from common.study.imaging import Crop, Imaging, Rectangle

PLAIN = Imaging(size=64, contrast="none")
SMEAR = calibration_smears(61, 1, 160)[0]
EVERYTHING = [
    Imaging.model_validate(
        {"size": 64, "clean": "specks", "crop": {"to": to, "left": 0.1}, "scale_bar": bar,
         "stain": stain, "mask": [{"top": 0, "bottom": 0.1, "left": 0, "right": 0.2}]}
    )
    for to, bar, stain in (("field", "inpaint", "macenko"), ("nuclei", "median", "reinhard"),
                           ("edges", "keep", "white_balance"))
]  # fmt: skip


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
@pytest.mark.parametrize("stain", ["none", "white_balance", "reinhard", "macenko"])
@pytest.mark.parametrize("to", ["edges", "field", "nuclei"])
def test_any_shape_becomes_a_square(
    shape: tuple[int, int], contrast: str, stain: str, to: str
) -> None:
    settings = Imaging.model_validate(
        {"contrast": contrast, "stain": stain, "crop": {"bottom": 0.143, "to": to},
         "clean": "specks", "scale_bar": "inpaint"}
    )  # fmt: skip
    image = prepare(picture(*shape), settings)
    assert image.shape == (299, 299, 3)
    assert image.dtype == np.uint8


def test_threads_change_no_bit(threads: None) -> None:
    """Whatever is switched on, on an image that is reduced before its stain is looked at."""
    image = np.asarray(cv2.resize(SMEAR, (700, 600), interpolation=cv2.INTER_CUBIC), np.uint8)
    for settings in EVERYTHING:
        results = []
        for count in (1, 2, 4):
            cv2.setNumThreads(count)
            results.append(prepare(image, settings))
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])


def test_the_steps_come_in_their_order_and_end_in_the_models_input() -> None:
    for settings in (PLAIN, *EVERYTHING):
        names, images = zip(*steps(SMEAR, settings), strict=True)
        assert names == ("original", "clean", "crop", "mask", "stain", "contrast", "resize")
        assert images[0] is SMEAR
        np.testing.assert_array_equal(images[-1], prepare(SMEAR, settings))
    unchanged = [image for _, image in steps(SMEAR, PLAIN)]
    for image in unchanged[1:-1]:
        np.testing.assert_array_equal(image, SMEAR)


def test_a_scale_bar_is_masked_where_it_was_before_the_crop() -> None:
    image = SMEAR.copy()
    image[140:158, 100:156] = 255
    image[150:152, 104:152] = 0  # a bar on its plate, which the crop cuts through
    for way in ("median", "inpaint"):
        settings = Imaging.model_validate(
            {"size": 64, "contrast": "none", "scale_bar": way, "crop": {"right": 0.2}}
        )
        at = dict(steps(image, settings))
        assert at["crop"].shape == (160, 128, 3)
        assert at["crop"][150:152, 110:128].max() == 0
        assert at["mask"][150:152, 110:128].min() > 60
        np.testing.assert_array_equal(at["mask"][:130], image[:130, :128])


def test_the_lit_field_is_cropped_and_its_dark_corners_painted() -> None:
    image = np.full((200, 300, 3), 4, np.uint8)
    cv2.circle(image, (150, 100), 80, (230, 225, 240), -1)
    settings = Imaging(size=96, contrast="none", crop=Crop(to="field"))
    at = dict(steps(image, settings))
    assert abs(at["crop"].shape[0] - 160) <= 4
    assert abs(at["crop"].shape[1] - 160) <= 4
    np.testing.assert_array_equal(np.unique(at["mask"].reshape(-1, 3), axis=0), [[230, 225, 240]])


def test_fractions_come_before_what_is_looked_for() -> None:
    image = np.full((200, 300, 3), 245, np.uint8)
    cv2.circle(image, (60, 60), 20, (118, 70, 170), -1)
    cv2.circle(image, (250, 60), 20, (118, 70, 170), -1)  # cut off by the fractions
    settings = Imaging(size=32, contrast="none", crop=Crop(right=0.4, to="nuclei"))
    height, width = dict(steps(image, settings))["crop"].shape[:2]
    assert 45 <= height <= 56
    assert 45 <= width <= 56


def test_of_a_large_image_stain_and_contrast_see_four_times_the_size() -> None:
    image = np.asarray(cv2.resize(SMEAR, (900, 700), interpolation=cv2.INTER_CUBIC), np.uint8)
    at = dict(steps(image, Imaging(size=64)))
    assert at["mask"].shape == (700, 900, 3)
    assert at["contrast"].shape == (256, 329, 3)
    reduced = np.asarray(cv2.resize(image, (329, 256), interpolation=cv2.INTER_AREA), np.uint8)
    np.testing.assert_array_equal(
        prepare(image, Imaging(size=64)), prepare(reduced, Imaging(size=64))
    )


def test_model_input() -> None:
    images = np.stack([picture(), 255 - picture()])
    got = to_model_input(images)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    expected = np.moveaxis(images.astype(np.float64) / 127.5 - 1.0, -1, 1)
    np.testing.assert_allclose(got, expected, atol=1e-7)
    assert (got.min(), got.max()) == (-1.0, 1.0)


def test_every_setting_changes_the_digest_where_it_has_an_effect() -> None:
    macenko = {"concentrations": [1.0, 1.1]}
    reinhard = {"mean": [70.0, 8.0, -8.0]}
    settings = [
        {}, {"size": 224}, {"clean": "specks"}, {"crop": {"bottom": 0.143}},
        {"crop": {"to": "field"}}, {"crop": {"to": "nuclei"}},
        {"crop": {"to": "nuclei"}, "nuclei": {"area": 0.01}},
        {"mask": [{"top": 0, "bottom": 1, "left": 0, "right": 0.1}]},
        {"scale_bar": "median"}, {"scale_bar": "inpaint"}, {"contrast": "none"},
        {"stain": "white_balance"}, {"stain": "reinhard"}, {"stain": "macenko"},
        {"stain": "reinhard", "reinhard": reinhard}, {"stain": "macenko", "macenko": macenko},
    ]  # fmt: skip
    digests = [preparation_digest(Imaging.model_validate(one)) for one in settings]
    assert len(set(digests)) == len(settings)
    idle = {"macenko": macenko, "reinhard": reinhard, "nuclei": {"area": 0.01}}
    assert preparation_digest(Imaging.model_validate(idle)) == digests[0]
    idle = {"stain": "reinhard", "macenko": macenko}
    assert preparation_digest(Imaging.model_validate(idle)) == digests[12]


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": {"top": 0.5, "bottom": 0.5}},
        {"crop": {"left": -0.1}},
        {"mask": [{"top": 0.5, "bottom": 0.5, "left": 0, "right": 1}]},
        {"size": 0},
        {"contrast": "retinex"},
        {"contrasts": "camsr"},
        {"white_balance": True},
        {"crop": {"to": "cells"}},
        {"nuclei": {"hue": [0, 400]}},
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
