from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from client.activations import Extractor
from client.data.manifest import Example
from common.study.imaging import Imaging
from simulations.frozen import Backbones, FrozenFeatures, opened
from simulations.pictures import Arm
from tests.support.small import small_study, write_smears

STUDY = small_study()
ARM = Arm(STUDY.imaging, STUDY.augmentation, views=2)


@pytest.fixture
def backbones(tmp_path: Path) -> Iterator[Backbones]:
    with opened(STUDY, None, tmp_path / "cache", 1.0) as found:
        yield found


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    return write_smears(tmp_path / "images", 20)


def test_a_study_s_pictures_have_the_features_that_its_sites_compute(
    backbones: Backbones, examples: list[Example]
) -> None:
    extractor = Extractor(STUDY, backbones.branches, backbones.cache, backbones.numerics)
    expected = extractor.features(examples, 2, "tails")
    features = FrozenFeatures(backbones)
    for number in range(2):
        found = features.of(
            examples, ARM.name_of(number, STUDY.seed), ARM.picture(number, STUDY.seed)
        )
        # bfloat16 and batches of another size round differently; another view differs by far more
        np.testing.assert_allclose(found, expected[:, number], rtol=0.05, atol=0.02)
    assert abs(expected[:, 0] - expected[:, 1]).max() > 0.1


def test_pictures_are_drawn_once_and_remembered_by_what_they_show(
    backbones: Backbones, examples: list[Example]
) -> None:
    drawn: list[Path] = []
    told: list[tuple[int, int]] = []

    def draw(example: Example) -> NDArray[np.uint8]:
        drawn.append(example.image)
        return np.full((64, 64, 3), len(drawn), dtype=np.uint8)

    features = FrozenFeatures(backbones, lambda done, of: told.append((done, of)))
    first = features.of(examples[:18], "grey", draw)
    again = features.of(examples[::-1], "grey", draw)
    assert len(drawn) == 20
    assert told == [(16, 18), (18, 18), (2, 2)]
    np.testing.assert_array_equal(again[::-1][:18], first)
    features.of(examples[:1], "something else", draw)
    assert len(drawn) == 21


def test_arms_share_what_does_not_depend_on_their_difference() -> None:
    plain = Arm(Imaging(size=64, contrast="none"))
    varied = Arm(plain.imaging, STUDY.augmentation, views=4)
    assert plain.name_of(0, 1) == varied.name_of(0, 1)
    names = [varied.name_of(1, 1), varied.name_of(2, 1), varied.name_of(1, 2), plain.name_of(1, 1)]
    assert len({str(name) for name in names}) == 4
