from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from client.activations import Extractor
from client.data.manifest import Example
from common.digests import digest_arrays, digest_file
from common.model.network import trained_arrays
from common.study.phases import PHASE_ORDER
from common.study.schema import Study
from simulations.folds import group_folds
from simulations.frozen import Backbones, opened
from simulations.screening import Ground
from simulations.tails import fine_tuned
from tests.support.small import small_study

CLASSES = ("Benign", "Early", "Pre", "Pro")
TINTS = ((240, 90, 90), (90, 240, 90), (90, 90, 240), (240, 240, 90))


def study(**backbones: Any) -> Study:
    settings = {"name": "backbones", "views": 2, "head_rounds": 1, "tail_rounds": 1, **backbones}
    return small_study(
        phases=[settings if name == "backbones" else {"name": name} for name in PHASE_ORDER]
    )


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Twelve groups of two images, whose tint is their class."""
    folder = tmp_path_factory.mktemp("tints")
    generator = np.random.default_rng(1)
    examples = []
    for number in range(24):
        label = number // 2 % 4
        image = np.clip(generator.normal(TINTS[label], 12, (64, 64, 3)), 0, 255)
        path = folder / f"{number:02}.png"
        cv2.imwrite(str(path), image.astype(np.uint8)[..., ::-1])
        examples.append(Example(path, label, f"group {number // 2}", digest=digest_file(path)))
    labels = np.array([example.label for example in examples])
    folds = group_folds(labels, [example.group for example in examples], 3, 1)
    return Ground(tuple(examples), CLASSES, (tuple(folds),))


@pytest.fixture
def backbones(tmp_path: Path) -> Iterator[Backbones]:
    with opened(study(), None, tmp_path, 1.0) as found:
        yield found


def test_what_can_be_learnt_is_learnt_and_branches_are_set_back(
    ground: Ground, backbones: Backbones
) -> None:
    settings = study(head_epochs=20, head_learning_rate=0.01, tail_epochs=2)
    extractor = Extractor(settings, backbones.branches, backbones.cache, backbones.numerics)
    parts = ("constants", "tails", "heads")
    before = [digest_arrays(trained_arrays(backbones.branches, part)) for part in parts]
    found = fine_tuned(ground, settings, extractor)
    assert found.shape == (1, 24)
    assert (found[0] == ground.labels).mean() > 0.9
    after = [digest_arrays(trained_arrays(backbones.branches, part)) for part in parts]
    assert after == before
    np.testing.assert_array_equal(fine_tuned(ground, settings, extractor), found)


def test_tails_are_trained_in_tail_rounds(ground: Ground, backbones: Backbones) -> None:
    """At a rate that wrecks them, no image is told from another any more."""
    wrecked = study(head_epochs=20, head_learning_rate=0.01, learning_rate=30.0, tail_epochs=8)
    extractor = Extractor(wrecked, backbones.branches, backbones.cache, backbones.numerics)
    found = fine_tuned(ground, wrecked, extractor)[0]
    assert (found == ground.labels).mean() < 0.7
