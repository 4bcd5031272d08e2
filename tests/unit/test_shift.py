from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from common.digests import digest_file
from common.imaging.decode import decode
from common.imaging.synthetic import calibration_smears
from server.progress import PlainProgress
from simulations.partition_file import Row
from simulations.shift import STAINS, Shift, blurred, encoded, recoloured, restained
from simulations.shifted import shifted_rows, write_shifted

IMAGE = calibration_smears(3, 1, 64)[0]
MATRIX = ((0.9, 0.1, 0.0), (0.0, 1.0, 0.0), (0.05, 0.0, 0.85))


def density(levels: np.ndarray) -> np.ndarray:
    return -np.log((levels.astype(np.float64) + 1) / 240)


@pytest.mark.parametrize(("blue", "eosin"), [(1.4, 1.0), (1.0, 0.5), (0.7, 1.2)])
def test_dyes_are_scaled_as_the_formula_says(blue: float, eosin: float) -> None:
    """Each dye's amount, by least squares on each pixel, is multiplied by its gain."""
    pixels = IMAGE[::9, ::7].reshape(-1, 3)
    dyes = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)
    expected = []
    for pixel in pixels:
        amounts, *_ = np.linalg.lstsq(dyes.T, density(pixel), rcond=None)
        rest = density(pixel) - amounts @ dyes
        told = (amounts * (blue, eosin)) @ dyes + rest
        expected.append(np.clip(np.rint(240 * np.exp(-told) - 1), 0, 255))
    found = restained(IMAGE, blue, eosin)[::9, ::7].reshape(-1, 3)
    assert np.abs(found.astype(int) - np.array(expected)).max() <= 1


def test_a_pixel_of_one_dye_alone_gets_darker_by_that_dyes_gain_alone() -> None:
    dye = STAINS[0] / np.linalg.norm(STAINS[0])
    levels = np.rint(240 * np.exp(-0.5 * dye) - 1).astype(np.uint8).reshape(1, 1, 3)
    twice = 240 * np.exp(-1.0 * dye) - 1
    assert np.abs(restained(levels, 2.0, 1.0)[0, 0] - twice).max() <= 2
    assert np.abs(restained(levels, 1.0, 3.0)[0, 0].astype(int) - levels[0, 0]).max() <= 2


def test_a_gain_of_one_changes_nothing() -> None:
    assert restained(IMAGE, 1, 1) is IMAGE
    assert np.abs(restained(IMAGE, 1 + 1e-9, 1).astype(int) - IMAGE).max() <= 1


def test_the_matrix_works_on_linear_light() -> None:
    def linear(x: np.ndarray) -> np.ndarray:
        return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)

    light = np.clip(linear(IMAGE / 255.0) @ np.array(MATRIX).T, 0, 1)
    told = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    found = recoloured(IMAGE, Shift(matrix=MATRIX))
    assert np.abs(found.astype(int) - np.rint(255 * told)).max() <= 1


def test_blur_spreads_a_point_like_a_gaussian() -> None:
    point = np.zeros((41, 41, 3), np.uint8)
    point[16:25, 16:25] = 255
    seen = blurred(point, 3.0)[..., 0].astype(float)
    assert blurred(point, 0) is point
    axis = np.arange(41) - 20
    spread = (seen.sum(axis=0) * axis**2).sum() / seen.sum()
    assert spread == pytest.approx(3.0**2 + (9**2 - 1) / 12, rel=0.03)


def test_what_is_encoded_is_decoded_alike() -> None:
    plain = decode(encoded(IMAGE, Shift(blue=1.2)))
    np.testing.assert_array_equal(plain, restained(IMAGE, 1.2, 1))
    squeezed = encoded(IMAGE, Shift(jpeg=20))
    assert squeezed[:2] == b"\xff\xd8"
    assert 1 < np.abs(decode(squeezed).astype(int) - IMAGE).mean() < 20
    assert len(squeezed) < len(encoded(IMAGE, Shift(jpeg=90)))


def test_a_shift_that_does_nothing_is_refused() -> None:
    for settings in ({}, {"blue": 1.0, "blur": 0}):
        with pytest.raises(ValidationError, match="changes nothing"):
            Shift.model_validate(settings)


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    (tmp_path / "data" / "a").mkdir(parents=True)
    rows = []
    for number, site in enumerate(("north", "south", "north")):
        path = f"a/{number}.jpg"
        cv2.imwrite(str(tmp_path / "data" / path), IMAGE[..., ::-1])
        rows.append({"path": path, "site": site, "label": "x", "split": "train"})
    return rows


def digests(rows: list[Row], data: Path) -> list[str]:
    return [digest_file(data / row["path"]) for row in rows]


def test_only_the_sites_own_images_are_shifted_and_all_have_files(
    rows: list[Row], tmp_path: Path
) -> None:
    data, folder = tmp_path / "data", tmp_path / "shifted"
    shifts = {"south": Shift(eosin=0.5)}
    named = shifted_rows(rows, shifts, digests(rows, data))
    watch = PlainProgress(Console(quiet=True))
    write_shifted(named, shifts, data, folder, watch)
    assert [row["source"] for row in named] == [row["path"] for row in rows]
    for row in named:
        original, made = data / row["source"], folder / row["path"]
        if row["site"] == "north":
            assert made.read_bytes() == original.read_bytes()
        else:
            assert digest_file(made) != digest_file(original)
            before = decode(original.read_bytes())
            np.testing.assert_array_equal(decode(made.read_bytes()), restained(before, 1, 0.5))
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    next(iter(times)).unlink()
    write_shifted(named, shifts, data, folder, watch)
    again = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    assert again.keys() == times.keys()
    assert sum(again[path] != times[path] for path in times) == 1


def test_other_settings_and_other_images_are_other_files(rows: list[Row], tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = shifted_rows(rows, {"south": Shift(eosin=0.5)}, digests(rows, data))
    other = shifted_rows(rows, {"south": Shift(eosin=0.6)}, digests(rows, data))
    assert [a["path"] == b["path"] for a, b in zip(first, other, strict=True)] == [
        True,
        False,
        True,
    ]
    cv2.imwrite(str(data / rows[0]["path"]), IMAGE)
    changed = shifted_rows(rows, {"south": Shift(eosin=0.5)}, digests(rows, data))
    assert changed[0]["path"] != first[0]["path"]
