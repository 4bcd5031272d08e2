"""Each measure against pictures whose answer is known."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from client.quality.focus import blur
from client.quality.light import light
from client.quality.marks import marks
from client.quality.measures import measure
from client.quality.pixels import reduced
from client.quality.stain import stain
from tests.support.fields import draw, packed

Image = NDArray[np.uint8]
PURPLE, WHITE = (120, 60, 170), (245, 245, 245)


def plain(colour: tuple[int, int, int], height: int = 224, width: int = 224) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


def discs(*places: tuple[int, int], radius: int = 12) -> Image:
    image = plain(WHITE)
    for place in places:
        cv2.circle(image, place, radius, PURPLE, cv2.FILLED)
    return image


def test_stripes_lose_eight_ninths_of_their_differences() -> None:
    stripes = plain((0, 0, 0), 90, 90)
    stripes[:, ::2] = 255  # a mean of nine alternates between 4/9 and 5/9: a ninth of the step
    middle = blur(stripes)
    assert_allclose(middle, 1 / 9, atol=0.01)  # the rim mirrors its pixels
    assert_allclose(blur(stripes.transpose(1, 0, 2).copy()), middle, rtol=1e-6)


def test_blur_grows_with_blurring_and_not_with_contrast() -> None:
    image = draw(1)
    found = [blur(np.asarray(cv2.GaussianBlur(image, (0, 0), s), np.uint8)) for s in (1, 2, 3, 4)]
    assert found == sorted(found)
    assert_allclose(blur((image // 2 + 60).astype(np.uint8)), blur(image), atol=0.02)
    assert blur(plain(WHITE)) == 1.0


def test_a_background_is_told_in_cie_lab() -> None:
    image = plain((128, 128, 128))
    image[:150] = 0
    found = light(image)
    assert_allclose(found.lightness, 53.585, atol=0.05)  # of sRGB 128, by the standard
    assert_allclose((found.a, found.b), 0, atol=0.05)
    assert_allclose((found.dark, found.bright), (150 / 224, 0))


def test_a_shorter_exposure_is_no_other_tint() -> None:
    linear = np.array([0.9, 0.7, 0.5])
    found = []
    for exposure in (1.0, 0.4):
        coded = 255 * (1.055 * (exposure * linear) ** (1 / 2.4) - 0.055)
        found.append(light(np.tile(coded.round().astype(np.uint8), (50, 50, 1))))
    assert_allclose((found[0].a, found[0].b), (found[1].a, found[1].b), atol=0.6)
    assert found[0].lightness - found[1].lightness > 20
    assert np.hypot(found[0].a, found[0].b) > 10


def test_nuclei_are_measured_also_where_they_touch() -> None:
    for places in ([(60, 60), (150, 120)], [(60, 60), (84, 60), (84, 84)]):
        image = discs(*places)
        found = stain(image)
        assert found.diameter is not None
        assert_allclose(found.diameter * 224, 25, atol=1.5)
        assert_allclose(found.nuclei, (image == PURPLE).all(axis=2).mean(), rtol=0.05)
        hue = cv2.cvtColor(np.array([[PURPLE]], np.float32) / 255, cv2.COLOR_RGB2HSV)[0, 0, 0]
        assert found.hue is not None
        assert_allclose(found.hue, hue, atol=1)


def test_a_diameter_is_a_share_of_the_side_whatever_the_camera() -> None:
    large = np.asarray(cv2.resize(discs((60, 60), (150, 120)), (896, 896)), np.uint8)
    whole, half = measure(large).stain.diameter, measure(discs((60, 60), (150, 120))).stain.diameter
    assert whole is not None
    assert half is not None
    assert_allclose(whole, half, rtol=0.05)


def test_red_cells_and_an_empty_slide_hold_no_nuclei() -> None:
    image = plain(WHITE)
    cv2.circle(image, (100, 100), 20, (215, 160, 160), cv2.FILLED)
    for one in (image, plain(WHITE), plain((0, 0, 0))):
        found = stain(one)
        assert (found.nuclei, found.diameter, found.hue) == (0, None, None)


@pytest.mark.parametrize(
    "corners",
    [((160, 205), (200, 208)), ((20, 10), (60, 12)), ((8, 80), (10, 120)), ((212, 90), (216, 130))],
)
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (230, 30, 30)])
def test_a_bar_is_as_long_as_it_was_drawn(
    corners: tuple[tuple[int, int], tuple[int, int]], colour: tuple[int, int, int]
) -> None:
    image = draw(2) // 3 + 60 if colour == (255, 255, 255) else draw(2)
    image = image.astype(np.uint8)
    cv2.rectangle(image, *corners, colour, cv2.FILLED)
    assert_allclose(marks(image).line * 224, 41, atol=6)


def test_letters_are_found_near_a_rim_only() -> None:
    clean = draw(3)
    assert marks(clean).text < 0.05
    for place, is_found in (((10, 20), True), ((150, 215), True), ((90, 112), False)):
        image = clean.copy()
        cv2.putText(image, "200 px", place, cv2.FONT_HERSHEY_PLAIN, 0.9, (0, 0, 0), 1)
        assert (marks(packed(image)).text > 0.1) == is_found


def test_a_large_image_keeps_its_marks() -> None:
    image = np.asarray(cv2.resize(draw(3), (1800, 1200), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert marks(image).line < 0.06
    cv2.rectangle(image, (1500, 1120), (1700, 1128), (0, 0, 0), cv2.FILLED)
    assert_allclose(marks(image).line * 1200, 201, atol=3)


def test_images_too_small_to_tell_have_no_marks() -> None:
    image = np.random.default_rng(1).integers(0, 255, (127, 300, 3), np.uint8)
    assert (marks(image).line, marks(image).text) == (0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (130, 9000), (224, 224)])
def test_any_shape_is_measured(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    found = measure(image)
    assert 0 <= found.blur <= 1
    assert np.isfinite([found.light.lightness, found.light.a, found.stain.strength]).all()


def test_only_what_is_larger_is_reduced() -> None:
    assert reduced(plain(WHITE, 100, 300)).shape == (100, 300, 3)
    assert reduced(plain(WHITE, 448, 900)).shape == (224, 450, 3)
