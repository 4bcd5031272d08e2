"""Stain normalisation against the papers' steps written out, and what is left alone."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from common.imaging.stain import (
    macenko,
    macenko_reference,
    normalised,
    reinhard,
    reinhard_reference,
    stain_axes,
    white_balance,
)
from common.imaging.synthetic import calibration_smears
from common.study.imaging import Imaging, MacenkoReference, ReinhardReference

Image = NDArray[np.uint8]
SMEARS = calibration_smears(11, 3, 160)
STAINS = ("white_balance", "reinhard", "macenko")


def macenko_by_the_book(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Macenko et al. 2009, section 2.2, with a singular value decomposition and least squares.

    Returns:
        Stains float64 (2, 3), the nuclei's first, and their amounts float64 (2, pixels).
    """
    density = -np.log((image.reshape(-1, 3).astype(np.float64) + 1) / 240)
    stained = density[np.sqrt((density**2).sum(axis=1)) >= 0.15]
    axes = np.linalg.svd(stained - stained.mean(axis=0), full_matrices=False)[2][:2]
    axes *= np.sign(axes.sum(axis=1, keepdims=True))  # a density is positive
    angle = np.arctan2(stained @ axes[1], stained @ axes[0])
    ends = [np.array([np.cos(a), np.sin(a)]) @ axes for a in np.percentile(angle, (1, 99))]
    stains = np.array(sorted(ends, key=lambda stain: stain[2] / np.abs(stain).sum()))
    return stains, np.linalg.lstsq(stains.T, density.T, rcond=None)[0]


@pytest.mark.parametrize("number", range(3))
def test_macenko_is_the_papers(number: int) -> None:
    image, reference = SMEARS[number], MacenkoReference()
    stains, amounts = macenko_by_the_book(image)
    most = np.percentile(amounts, 99, axis=1)
    found = stain_axes(image)
    assert found is not None
    np.testing.assert_allclose(found.stains, stains, rtol=1e-4)
    np.testing.assert_allclose(found.concentrations, most, rtol=1e-4)
    scaled = amounts * (np.array(reference.concentrations) / most)[:, None]
    light = 240 * np.exp(-np.array(reference.stains).T @ scaled)
    expected = np.clip(light, 0, 255).T.reshape(image.shape)
    assert np.abs(macenko(image, reference) - expected).max() < 0.6  # we round


def mixed(stains: NDArray[np.float64]) -> Image:
    """Beer and Lambert: two stains mixed at random, some pixels of nearly one alone."""
    generator = np.random.default_rng(2)
    amounts = generator.uniform(0.5, 1.0, (40_000, 1)) * generator.dirichlet((0.4, 0.4), 40_000)
    pixels = np.clip(np.rint(240 * np.exp(-amounts @ stains)) - 1, 0, 255)
    return np.asarray(pixels.reshape(200, 200, 3), np.uint8)


def test_macenko_finds_the_stains_that_an_image_was_made_of_and_replaces_them() -> None:
    made = np.array([[0.70, 0.60, 0.39], [0.40, 0.80, 0.45]])
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    reference = MacenkoReference()
    image = mixed(made)
    for now, expected in ((image, made), (macenko(image, reference), np.array(reference.stains))):
        found = stain_axes(now)
        assert found is not None
        assert (found.stains * expected).sum(axis=1).min() > np.cos(np.radians(2.5))


TO_XYZ = np.array(  # IEC 61966-2-1
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
WHITE = TO_XYZ.sum(axis=1)


def lab_by_the_book(image: Image) -> NDArray[np.float64]:
    """CIE 1976 L*a*b* (D65) of sRGB, float64."""
    level = image / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    ratio = linear @ TO_XYZ.T / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("number", range(3))
def test_reinhard_is_the_papers(number: int) -> None:
    image, reference = SMEARS[number], ReinhardReference()
    before = lab_by_the_book(image)
    mean, deviation = before.mean(axis=(0, 1)), before.std(axis=(0, 1))
    expected = (before - mean) / deviation * reference.deviation + reference.mean
    after = reinhard(image, reference)
    unclipped = ((after > 0) & (after < 255)).all(axis=-1)  # elsewhere Lab leaves what RGB holds
    assert unclipped.mean() > 0.5
    difference = np.abs(lab_by_the_book(after) - expected)[unclipped]
    assert difference.mean() < 0.3
    assert np.percentile(difference, 99) < 1.0


def test_reinhard_leads_to_the_reference() -> None:
    reference = ReinhardReference(mean=(60.0, 5.0, -8.0), deviation=(9.0, 6.0, 5.0))
    after = reinhard(SMEARS[1], reference)
    lab = cv2.cvtColor(after.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    np.testing.assert_allclose(lab.mean(axis=0), reference.mean, atol=0.3)
    np.testing.assert_allclose(lab.std(axis=0), reference.deviation, atol=0.3)


def test_the_default_references_are_those_of_generated_smears() -> None:
    smears = calibration_smears(1, 64, 224)
    found, usual = reinhard_reference(smears), ReinhardReference()
    np.testing.assert_allclose(found.mean, usual.mean, atol=0.02)
    np.testing.assert_allclose(found.deviation, usual.deviation, atol=0.02)
    stains, default = macenko_reference(smears), MacenkoReference()
    np.testing.assert_allclose(stains.stains, default.stains, atol=2e-3)
    np.testing.assert_allclose(stains.concentrations, default.concentrations, atol=5e-3)


def test_smears_of_different_laboratories_become_alike_in_what_each_method_compares() -> None:
    def spread(images: list[Image], percentile: float | None) -> float:
        told = [
            image.mean(axis=(0, 1)) if percentile is None
            else np.percentile(image, percentile, axis=(0, 1)) for image in images
        ]  # fmt: skip
        return float(np.std(told, axis=0).max())

    smears = calibration_smears(12, 8, 96)
    balanced = [white_balance(image) for image in smears]
    assert spread(balanced, 95) < 1 < spread(smears, 95)
    moved = [reinhard(image, ReinhardReference()) for image in smears]
    assert spread(moved, None) < 1 < spread(smears, None)


@pytest.mark.parametrize("stain", ["white_balance", "reinhard"])
def test_normalising_twice_is_normalising_once(stain: str) -> None:
    settings = Imaging.model_validate({"stain": stain})
    for smear in SMEARS:
        once = normalised(smear, settings)
        assert np.abs(normalised(once, settings).astype(int) - once).max() <= 1


@pytest.mark.parametrize("stain", STAINS)
@pytest.mark.parametrize("level", [0, 7, 60, 128, 245, 255])
def test_a_flat_image_stays_flat(stain: str, level: int) -> None:
    flat = np.full((30, 40, 3), level, np.uint8)
    assert np.ptp(normalised(flat, Imaging.model_validate({"stain": stain}))) <= 1


@pytest.mark.parametrize("stain", STAINS)
def test_the_noise_of_an_empty_field_is_not_made_a_smear(stain: str) -> None:
    noise = np.random.default_rng(3).normal(0, 1, (60, 60, 3))
    empty = np.clip(np.rint(238 + noise), 0, 255).astype(np.uint8)
    after = normalised(empty, Imaging.model_validate({"stain": stain}))
    assert after.std(axis=(0, 1)).max() < 2.0
    assert after.min() > 225


def test_what_has_no_light_or_no_stain_is_returned_as_it_is() -> None:
    dark = np.random.default_rng(4).integers(0, 45, (40, 40, 3), dtype=np.uint8)
    assert white_balance(dark) is dark
    white = np.full((40, 40, 3), 250, np.uint8)
    assert macenko(white, MacenkoReference()) is white
    assert reinhard(white, ReinhardReference()) is white
    one_stain = np.where(np.arange(40)[:, None, None] < 20, [120, 60, 180], 250).astype(np.uint8)
    one_stain = np.repeat(one_stain, 40, axis=1)
    assert macenko(one_stain, MacenkoReference()) is one_stain


@pytest.mark.parametrize(
    "wrong",
    [
        {"macenko": {"stains": [[0.6, 0.7, 0.1], [0.33, 0.85, 0.4]]}},
        {"macenko": {"stains": [[0.6, 0.8, 0.0], [0.6, 0.8, 0.0]]}},
        {"macenko": {"concentrations": [0.0, 1.0]}},
        {"reinhard": {"deviation": [10.0, -1.0, 5.0]}},
        {"reinhard": {"mean": [float("nan"), 0.0, 0.0]}},
        {"stain": "vahadane"},
    ],
)
def test_senseless_references_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Imaging.model_validate(wrong)
