"""Scale bars: found where they were drawn, and not where nothing was."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from common.imaging.decode import decode
from common.imaging.scale_bar import scale_bar
from common.imaging.synthetic import calibration_smears

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SMEARS = calibration_smears(41, 8, 448)
REAL = Path(__file__).parents[3] / "shared" / "data"
CORNERS = ["upper left", "upper right", "lower left", "lower right"]


def with_bar(
    smear: Image, corner: str, ink: tuple[int, int, int], plate: bool
) -> tuple[Image, Mask]:
    """Draw bar and letters as microscope software does; return what was drawn as a mask."""
    image, side = smear.copy(), smear.shape[0]
    top = round((0.03 if "upper" in corner else 0.87) * side)
    left = round((0.03 if "left" in corner else 0.73) * side)
    high, wide = round(0.1 * side), round(0.24 * side)
    if plate:
        image[top : top + high, left : left + wide] = 255
    thick = max(1, side // 150)
    down = top + round(0.8 * high)
    cv2.line(image, (left + 6, down), (left + wide - 6, down), ink, thick)
    at = (left + wide // 4, top + round(0.62 * high))
    cv2.putText(image, "20 um", at, cv2.FONT_HERSHEY_SIMPLEX, side / 1000, ink, thick)
    encoded = cv2.imencode(".jpg", image[..., ::-1], [int(cv2.IMWRITE_JPEG_QUALITY), 85])[1]
    drawn = np.abs(image.astype(int) - smear).max(axis=2) > 60
    drawn &= (image == np.array(ink)).all(axis=2)
    return decode(encoded.tobytes()), drawn


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize(
    ("ink", "plate"),
    [((0, 0, 0), True), ((0, 0, 0), False), ((220, 20, 30), False), ((220, 20, 30), True)],
)
def test_a_bar_with_letters_is_found_in_every_corner(
    corner: str, ink: tuple[int, int, int], plate: bool
) -> None:
    covered = []
    for smear in SMEARS[:4]:
        image, drawn = with_bar(smear, corner, ink, plate)
        found = scale_bar(image)
        assert found.dtype == np.bool_
        assert found.mean() < 0.06
        covered.append(found[drawn].mean())
    assert min(covered) > 0.7  # a red line across a nucleus is lost there
    assert np.mean(covered) > 0.93


def test_a_large_image_is_searched_as_a_small_one() -> None:
    large = cv2.resize(SMEARS[0], (2400, 2400), interpolation=cv2.INTER_CUBIC)
    image, drawn = with_bar(np.asarray(large, np.uint8), "lower right", (0, 0, 0), True)
    assert scale_bar(image)[drawn].mean() > 0.95


def test_smears_without_bars_stay_whole() -> None:
    assert not any(scale_bar(smear).any() for smear in SMEARS)


@pytest.mark.parametrize("level", [0, 130, 255])
@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (60, 60)])
def test_nothing_is_found_in_nothing(level: int, shape: tuple[int, int]) -> None:
    assert not scale_bar(np.full((*shape, 3), level, np.uint8)).any()


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real images in {REAL}")
def test_real_bars_are_found_and_real_smears_stay_whole() -> None:
    def masks(folder: str, every: int) -> list[Mask]:
        with (REAL / folder / "manifest.csv").open(newline="", encoding="utf-8") as lines:
            paths = [row["path"] for row in csv.DictReader(lines)][::every]
        return [scale_bar(decode((REAL / folder / path).read_bytes())) for path in paths]

    taleqani = np.array(masks("taleqani-dev", 24))  # every image has a bar, at the lower right
    assert taleqani[:, 196:, 180:].any(axis=(1, 2)).mean() > 0.92
    taleqani[:, 180:, 160:] = False
    assert taleqani.any(axis=(1, 2)).mean() < 0.02
    assert np.mean([found.any() for found in masks("pbc-normal", 16)]) < 0.05  # none has one
