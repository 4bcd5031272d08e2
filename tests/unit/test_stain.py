"""Stain normalisation against torchstain, and what is left alone."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from torchstain.numpy.normalizers.macenko import NumpyMacenkoNormalizer
from torchstain.numpy.normalizers.reinhard import NumpyReinhardNormalizer

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


@pytest.mark.parametrize("number", range(3))
def test_macenko_is_torchstains_within_its_rounding(number: int) -> None:
    oracle, reference = NumpyMacenkoNormalizer(), MacenkoReference()
    oracle.HERef = np.array(reference.stains).T
    oracle.maxCRef = np.array(reference.concentrations)
    expected, _, _ = oracle.normalize(SMEARS[number], stains=False)  # it cuts off, we round
    difference = macenko(SMEARS[number], reference).astype(int) - expected
    assert difference.min() >= -1
    assert difference.max() <= 1


def test_macenko_finds_the_stains_that_torchstain_fits() -> None:
    oracle = NumpyMacenkoNormalizer()
    oracle.fit(SMEARS[0])
    found = stain_axes(SMEARS[0])
    assert found is not None
    np.testing.assert_allclose(found.stains.T, oracle.HERef, rtol=1e-4)
    np.testing.assert_allclose(found.concentrations, oracle.maxCRef, rtol=1e-4)


def mixed(stains: NDArray[np.float64]) -> Image:
    """Beer and Lambert: two stains mixed at random, some pixels of nearly one alone."""
    generator = np.random.default_rng(2)
    amounts = generator.uniform(0.5, 1.0, (40_000, 1)) * generator.dirichlet((0.4, 0.4), 40_000)
    pixels = np.clip(np.rint(240 * np.exp(-amounts @ stains)) - 1, 0, 255)
    return np.asarray(pixels.reshape(200, 200, 3), dtype=np.uint8)


def test_macenko_finds_the_stains_that_an_image_was_made_of_and_replaces_them() -> None:
    made = np.array([[0.70, 0.60, 0.39], [0.40, 0.80, 0.45]])
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    reference = MacenkoReference()
    image = mixed(made)
    for now, expected in ((image, made), (macenko(image, reference), np.array(reference.stains))):
        found = stain_axes(now)
        assert found is not None
        assert (found.stains * expected).sum(axis=1).min() > np.cos(np.radians(2.5))


@pytest.mark.parametrize("number", range(3))
def test_reinhard_is_torchstains_within_its_rounding(number: int) -> None:
    reference, oracle = ReinhardReference(), NumpyReinhardNormalizer()
    oracle.target_means = np.array(reference.mean, dtype=np.float32)
    oracle.target_stds = np.array(reference.deviation, dtype=np.float32)
    expected = oracle.normalize(SMEARS[number].copy()).astype(int)  # it cuts off, we round
    difference = reinhard(SMEARS[number], reference) - expected
    assert difference.min() >= -1
    assert difference.max() <= 2
    assert np.abs(difference).mean() < 0.6


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
