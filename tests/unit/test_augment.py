"""Views: the former formula bit for bit, each variation against an independent computation."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from client.data.cache import ActivationCache
from client.holdings import Holdings
from client.site import Bench
from client.site_config import Numerics, SiteConfig
from client.training.augment import augmentation_digest, view
from common.imaging.synthetic import calibration_smears
from common.model.initial import build_branches
from common.seeds import stream
from common.study.augmentation import Augmentation
from tests.support.small import small_study, write_smears

Image = NDArray[np.uint8]

USUAL = Augmentation()
STILL = Augmentation(quarter_turns=False, flips=False, stain_gain=0, stain_shift=0)
IMAGE = stream(1, "test image").integers(0, 256, (12, 12, 3)).astype(np.uint8)
SMEAR = calibration_smears(51, 1, 121)[0]
NUMBERS = range(1, 9)


def only(**settings: float) -> Augmentation:
    return Augmentation.model_validate(STILL.model_dump() | settings)


def test_the_first_view_is_the_image_whatever_the_settings() -> None:
    assert view(IMAGE, 0, USUAL, 7, "a") is IMAGE
    assert view(IMAGE, 0, only(rotation=180, zoom=1, emboss=1, panning=0.5), 7, "a") is IMAGE


def test_the_defaults_are_quarter_turns_mirrors_and_stain_as_they_were_first_written() -> None:
    for number in NUMBERS:
        generator = stream(7, "view", "a", number)
        turned = np.rot90(IMAGE, int(generator.integers(4)))
        if generator.random() < 0.5:
            turned = turned[:, ::-1]
        density = -np.log((np.arange(256) + 1.0) / 256.0)
        gain = generator.normal(1.0, 0.08, size=3)
        shift = generator.normal(0.0, 0.02, size=3)
        tables = np.exp(-(density[:, None] * gain + shift)) * 256.0 - 1.0
        lookup = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
        expected = np.stack([lookup[turned[..., c], c] for c in range(3)], axis=-1)
        np.testing.assert_array_equal(view(IMAGE, number, USUAL, 7, "a"), expected)


def test_views_differ_between_images_numbers_and_studies_and_come_back() -> None:
    named = ((1, 7, "a"), (2, 7, "a"), (1, 8, "a"), (1, 7, "b"))
    views = [view(IMAGE, n, USUAL, s, k) for n, s, k in named]
    assert len({v.tobytes() for v in views}) == 4
    again = [view(IMAGE, n, USUAL, s, k) for n, s, k in named]
    np.testing.assert_array_equal(views, again)


def test_with_everything_off_a_view_is_the_image() -> None:
    for number in NUMBERS:
        np.testing.assert_array_equal(view(SMEAR, number, STILL, 1, "k"), SMEAR)


def test_turns_and_mirrors_only_move_pixels() -> None:
    for number in NUMBERS:
        turned = view(SMEAR, number, only(quarter_turns=True), 1, "k")
        assert any(np.array_equal(turned, np.rot90(SMEAR, n)) for n in range(4))
        flipped = view(SMEAR, number, only(flips=True), 1, "k")
        assert any(np.array_equal(flipped, one) for one in (SMEAR, SMEAR[:, ::-1]))


def test_rotation_is_scipys_about_the_centre_with_a_reflected_border() -> None:
    green = SMEAR[..., 1].astype(float)

    def error(turned: Image, angle: float) -> float:
        expected = ndimage.rotate(green, angle, reshape=False, order=1, mode="mirror")
        return float(np.abs(turned[..., 1] - expected).mean())

    for number in (1, 2, 3):
        turned = view(SMEAR, number, only(rotation=40), 1, "k")
        coarse = min(np.arange(-40.0, 40.1, 2.0), key=partial(error, turned))
        best = min(np.arange(coarse - 2, coarse + 2, 0.2), key=partial(error, turned))
        assert error(turned, best) < 1.0


def test_panning_moves_by_no_more_than_its_share() -> None:
    green = SMEAR[..., 1].astype(float)
    reach = [(y, x) for y in range(-14, 15) for x in range(-14, 15)]

    def error(moved: Image, move: tuple[int, int]) -> float:
        shifted = np.roll(green, move, axis=(0, 1))
        return float(np.abs(shifted - moved[..., 1])[15:-15, 15:-15].mean())

    found = []
    for number in NUMBERS:
        moved = view(SMEAR, number, only(panning=0.1), 1, "k")
        best = min(reach, key=partial(error, moved))  # to the nearest pixel
        assert error(moved, best) < 4.0
        assert max(map(abs, best)) <= 13
        found.append(best)
    assert len(set(found)) > 5


def test_zoom_enlarges_and_reduces_about_the_centre_within_its_bounds() -> None:
    green, middle = SMEAR[..., 1].astype(float), np.full(2, 60.0)

    def error(zoomed: Image, factor: float) -> float:
        expected = ndimage.affine_transform(
            green, np.eye(2) / factor, middle - middle / factor, order=1, mode="mirror"
        )
        return float(np.abs(expected - zoomed[..., 1]).mean())

    found = []
    for number in NUMBERS:
        zoomed = view(SMEAR, number, only(zoom=0.5), 1, "k")
        factor = min(np.linspace(1 / 1.5, 1.5, 41), key=partial(error, zoomed))
        assert error(zoomed, factor) < 2.0
        found.append(factor)
    assert min(found) < 1 < max(found)


def test_emboss_is_a_share_of_the_convolved_image() -> None:
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], float)
    relief = np.stack(
        [ndimage.correlate(SMEAR[..., c].astype(float), kernel, mode="mirror") for c in range(3)],
        axis=2,
    ).clip(0, 255)
    shares = []
    for number in NUMBERS:
        embossed = view(SMEAR, number, only(emboss=0.6), 1, "k").astype(float)
        change = relief - SMEAR
        share = float(((embossed - SMEAR) * change).sum() / (change**2).sum())
        np.testing.assert_allclose(embossed, SMEAR + share * change, atol=0.8)
        assert 0 <= share <= 0.6
        shares.append(share)
    assert max(shares) > 0.3


def test_stain_jitter_scales_and_shifts_optical_density() -> None:
    density = -np.log((SMEAR + 1.0) / 256.0)
    gains = []
    for number in NUMBERS:
        varied = view(SMEAR, number, only(stain_gain=0.2, stain_shift=0.05), 1, "k")
        after = -np.log((varied + 1.0) / 256.0)
        for channel in range(3):
            seen = (varied[..., channel] > 5) & (varied[..., channel] < 250)
            x, y = density[..., channel][seen], after[..., channel][seen]
            gain, shift = np.polyfit(x, y, 1)
            assert np.abs(gain * x + shift - y).mean() < 0.01
            gains.append(gain)
    assert 0.1 < np.std(gains) < 0.3


def test_each_variation_is_drawn_whether_it_is_used_or_not() -> None:
    """Switching another one on leaves the turns as they are."""
    for number in NUMBERS:
        plain = view(SMEAR, number, only(quarter_turns=True, flips=True), 1, "k")
        stained = view(
            SMEAR, number, only(quarter_turns=True, flips=True, stain_shift=1e-9), 1, "k"
        )
        np.testing.assert_array_equal(plain, stained)


def test_black_stays_darker_than_white_and_shape_and_type_stay() -> None:
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, 4:] = 250
    for number in range(1, 20):
        varied = view(half, number, USUAL, 1, "k")
        assert varied.shape == half.shape
        assert varied.dtype == np.uint8
        assert np.sort(varied.reshape(-1, 3).mean(axis=1))[0] < 30
        assert (varied > 200).mean() > 0.4


def test_an_empty_field_stays_empty() -> None:
    empty = np.full((40, 40, 3), 245, np.uint8)
    every = Augmentation(rotation=180, panning=0.5, zoom=1, emboss=1)
    for number in NUMBERS:
        assert np.ptp(view(empty, number, every, 1, "k"), axis=(0, 1)).max() == 0


def test_every_setting_changes_the_digest() -> None:
    changes: Mapping[str, float] = {
        "quarter_turns": False, "flips": False, "rotation": 10, "panning": 0.1, "zoom": 0.1,
        "emboss": 0.1, "stain_gain": 0.1, "stain_shift": 0.1,
    }  # fmt: skip
    assert {*changes, "seed"} == set(Augmentation.model_fields)  # caches have it beside the digest
    changed = [Augmentation.model_validate({name: value}) for name, value in changes.items()]
    assert len({augmentation_digest(one) for one in (USUAL, *changed)}) == len(changes) + 1


@pytest.mark.parametrize(
    "wrong",
    [{"rotation": 181}, {"panning": -0.1}, {"zoom": 2}, {"emboss": 1.1}, {"shear": 0.1}],
)
def test_senseless_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(wrong)


def test_only_training_images_are_varied(tmp_path: Path) -> None:
    """Validation and test images give the same features whatever the augmentation."""
    examples = write_smears(tmp_path / "smears", 9)
    held = Holdings({"train": examples[:3], "validation": examples[3:6], "test": examples[6:]}, {},
                    "image")  # fmt: skip
    config = SiteConfig.model_validate(
        {"name": "north", "images": {"manifest": tmp_path / "none.csv"},
         "state": tmp_path / "state",
         "cache": {"folder": tmp_path / "cache"}, "numerics": Numerics(threads=1)}
    )  # fmt: skip
    features = []
    for name, settings in (("usual", USUAL), ("other", only(rotation=90, emboss=1))):
        study = small_study(augmentation=settings)
        cache = ActivationCache(tmp_path / name, 10**8)
        bench = Bench(study, config, build_branches, cache, find=lambda *_: held)
        digests = {"constants": "c", "tails": "t"}
        features.append(
            {part: bench.features(digests, part) for part in ("validation", "test")}
            | {"train": bench.features(digests, "train", 2)}
        )
        cache.close()
    one, other = features
    np.testing.assert_array_equal(one["validation"], other["validation"])
    np.testing.assert_array_equal(one["test"], other["test"])
    np.testing.assert_array_equal(one["train"][:, 0], other["train"][:, 0])
    assert np.abs(one["train"][:, 1] - other["train"][:, 1]).max() > 1e-3
