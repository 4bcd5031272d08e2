from pathlib import Path

import numpy as np
import pytest

from client.data.manifest import Example
from common.errors import DataError
from common.imaging.segmentation import nuclei
from common.imaging.synthetic import calibration_smears
from common.study.imaging import Imaging, Nuclei
from common.study.phases import BackbonesPhase
from simulations.pictures import (
    UNVARIED,
    Arm,
    arms,
    background_only,
    corner,
    nuclei_only,
    read_image,
)  # fmt: skip
from tests.support.small import small_study, write_smears

STUDY = small_study()


def test_every_arm_changes_one_thing_of_the_plain_one() -> None:
    found = arms(STUDY)
    plain = found["plain"]
    assert plain == Arm(Imaging(size=64, contrast="none"))
    assert found["default, 1 view"].imaging == STUDY.imaging
    settings = [str(arm.settings()) for name, arm in found.items() if "default" not in name]
    assert len(set(settings)) == len(settings)
    for name, arm in found.items():
        if name.startswith(("default", "all usual", "balanced")) or name == "plain":
            continue
        imaging = {k for k, v in dict(arm.imaging).items() if v != dict(plain.imaging)[k]}
        varied = {k for k, v in dict(arm.augmentation).items() if v != dict(UNVARIED)[k]}
        expected = {"stain", "contrast"} if "," in name else None
        assert imaging == expected or len(imaging) == 1 or varied, name
        assert not (imaging and varied), name
        assert arm.views == (2 if varied else 1), name


def test_the_default_is_the_study() -> None:
    default = arms(STUDY)["default"]
    assert (default.imaging, default.augmentation) == (STUDY.imaging, STUDY.augmentation)
    assert default.views == STUDY.phase(BackbonesPhase).views


def test_an_unvaried_view_is_the_image(tmp_path: Path) -> None:
    (example,) = write_smears(tmp_path, 1)
    arm = Arm(STUDY.imaging, views=2)
    first, second = (arm.picture(number, 1)(example) for number in range(2))
    np.testing.assert_array_equal(first, second)
    varied = Arm(STUDY.imaging, STUDY.augmentation, 2).picture(1, 1)(example)
    assert (varied != first).any()


def test_nuclei_and_background_divide_the_image_between_them() -> None:
    image = calibration_smears(3, 1, 128)[0]
    mask = nuclei(image, Nuclei())
    assert 0 < mask.mean() < 1
    without, alone = background_only(image, Nuclei()), nuclei_only(image, Nuclei())
    np.testing.assert_array_equal(without[~mask], image[~mask])
    np.testing.assert_array_equal(alone[mask], image[mask])
    assert (alone[~mask] == 255).all()
    np.testing.assert_array_equal(
        np.unique(without[mask], axis=0), [np.rint(image[~mask].mean(axis=0))]
    )


def test_an_image_without_nuclei_is_all_background() -> None:
    image = np.full((40, 50, 3), 240, dtype=np.uint8)
    np.testing.assert_array_equal(background_only(image, Nuclei()), image)
    assert (nuclei_only(image, Nuclei()) == 255).all()


@pytest.mark.parametrize(("size", "expected"), [(224, (24, 34)), (299, (32, 45)), (64, (7, 10))])
def test_the_corner_is_the_lower_right_one(size: int, expected: tuple[int, int]) -> None:
    image = np.zeros((size, size, 3), dtype=np.uint8)
    image[-1, -1] = 7
    found = corner(image)
    assert found.shape == (*expected, 3)
    assert (found[-1, -1] == 7).all()


def test_an_image_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read from disk"):
        read_image(Example(tmp_path / "gone.png", 0, "g"))
