"""Painting over, by median and by inpainting."""

import numpy as np
import pytest

from common.imaging.mask import inpainted, painted_over
from common.imaging.synthetic import calibration_smears

IMAGE = np.random.default_rng(9).integers(0, 256, (301, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.98])
def test_the_median_is_numpys_of_the_rest_rounded_down(share: float) -> None:
    mask = np.random.default_rng(10).random(IMAGE.shape[:2]) < share
    expected = IMAGE.copy()
    expected[mask] = np.floor(np.median(IMAGE[~mask], axis=0)).astype(np.uint8)
    np.testing.assert_array_equal(painted_over(IMAGE, mask), expected)


def test_all_masked_becomes_the_median_of_all() -> None:
    painted = painted_over(IMAGE, np.ones(IMAGE.shape[:2], np.bool_))
    assert np.ptp(painted.reshape(-1, 3), axis=0).max() == 0
    np.testing.assert_array_equal(painted[0, 0], np.floor(np.median(IMAGE, axis=(0, 1))))


def test_nothing_masked_changes_nothing() -> None:
    nothing = np.zeros(IMAGE.shape[:2], np.bool_)
    assert painted_over(IMAGE, nothing) is IMAGE
    assert inpainted(IMAGE, nothing) is IMAGE
    assert inpainted(IMAGE, ~nothing) is IMAGE


def test_inpainting_restores_what_is_smooth_and_touches_nothing_else() -> None:
    rows, columns = np.mgrid[0:120, 0:160]
    smooth = np.stack([100 + rows // 2, 90 + columns // 2, 180 - rows // 3], axis=2).astype(
        np.uint8
    )
    mask = np.zeros(smooth.shape[:2], np.bool_)
    mask[90:104, 110:150] = True
    spoilt = smooth.copy()
    spoilt[mask] = 0
    filled = inpainted(spoilt, mask)
    np.testing.assert_array_equal(filled[~mask], smooth[~mask])
    assert np.abs(filled.astype(int) - smooth)[mask].mean() < 6


def test_inpainting_a_part_at_the_edge() -> None:
    smear = calibration_smears(13, 1, 96)[0]
    mask = np.zeros(smear.shape[:2], np.bool_)
    mask[80:, 60:] = True
    filled = inpainted(smear, mask)
    np.testing.assert_array_equal(filled[~mask], smear[~mask])
    assert filled[mask].min() > 0
