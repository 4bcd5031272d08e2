"""What holds for every step of the preparation, on any image."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from client.training.augment import view
from common.imaging.contrast import camsr, clahe
from common.imaging.field import box_of_nuclei, lit_field
from common.imaging.mask import inpainted, painted_over
from common.imaging.pipeline import prepare
from common.imaging.scale_bar import scale_bar
from common.imaging.segmentation import nuclei
from common.imaging.specks import without_specks
from common.imaging.stain import macenko, reinhard, white_balance
from common.study.augmentation import Augmentation
from common.study.imaging import Crop, Imaging, MacenkoReference, Nuclei, ReinhardReference

Image = NDArray[np.uint8]
EVERY_VARIATION = Augmentation(rotation=180, panning=0.3, zoom=0.5, emboss=1)
STEPS: dict[str, Callable[[Image], Image]] = {
    "specks": without_specks,
    "white balance": white_balance,
    "reinhard": lambda image: reinhard(image, ReinhardReference()),
    "macenko": lambda image: macenko(image, MacenkoReference()),
    "clahe": clahe,
    "camsr": camsr,
    "scale bar": lambda image: painted_over(image, scale_bar(image)),
    "inpainting": lambda image: inpainted(image, image[..., 0] > 200),
    "dark border": lambda image: painted_over(image, lit_field(image).outside),
}


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Noise, or few tones in blocks, as nothing in nature is; from one pixel to 48 x 48."""
    height, width = draw(array_shapes(min_dims=2, max_dims=2, max_side=48))
    if draw(st.booleans()):
        return np.random.default_rng(draw(st.integers(0, 99))).integers(
            0, 256, (height, width, 3), dtype=np.uint8
        )
    tones = draw(arrays(np.uint8, (3, 3, 3)))
    return np.asarray(
        cv2.resize(tones, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8
    )


@pytest.mark.parametrize("name", STEPS)
@given(images())
@settings(max_examples=25)
def test_shape_type_and_input_stay_and_the_same_comes_again(name: str, image: Image) -> None:
    before = image.copy()
    once = STEPS[name](image)
    assert once.shape == image.shape
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(STEPS[name](before), once)


@pytest.mark.parametrize("name", STEPS)
@given(st.integers(235, 255), st.integers(0, 2), st.integers(0, 99))
@settings(max_examples=15)
def test_an_empty_field_stays_an_empty_field(name: str, level: int, noise: int, seed: int) -> None:
    if name == "clahe":
        noise = 0  # it raises every contrast, within its limit; camsr knows what is none
    speckle = np.random.default_rng(seed).integers(-noise, noise + 1, (40, 50, 3))
    white = np.clip(level + speckle, 0, 255).astype(np.uint8)
    after = STEPS[name](white).astype(int)
    assert after.min() >= 220
    assert np.ptp(after) <= 3 * max(1, 2 * noise)


@given(images(), st.integers(0, 9))
@settings(max_examples=40)
def test_views_keep_a_squares_shape_and_type(image: Image, number: int) -> None:
    square = np.asarray(cv2.resize(image, (32, 32)), dtype=np.uint8)
    varied = view(square, number, EVERY_VARIATION, 1, "key")
    assert varied.shape == square.shape
    assert varied.dtype == np.uint8
    assert varied.flags.c_contiguous


@given(images(), st.sampled_from(["edges", "field", "nuclei"]),
       st.sampled_from(["none", "white_balance", "reinhard", "macenko"]))  # fmt: skip
@settings(max_examples=40)
def test_any_image_can_be_prepared_with_everything_on(image: Image, to: str, stain: str) -> None:
    wanted = Imaging.model_validate(
        {"size": 32, "clean": "specks", "scale_bar": "inpaint", "stain": stain,
         "crop": Crop(bottom=0.1).model_dump() | {"to": to}}
    )  # fmt: skip
    assert prepare(image, wanted).shape == (32, 32, 3)


@given(images())
@settings(max_examples=40)
def test_what_is_found_lies_inside_the_image(image: Image) -> None:
    height, width = image.shape[:2]
    assert nuclei(image, Nuclei()).shape == (height, width)
    assert scale_bar(image).shape == (height, width)
    for rows, columns in (
        (lit_field(image).rows, lit_field(image).columns),
        box_of_nuclei(image, Nuclei(), 16),
    ):
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width
