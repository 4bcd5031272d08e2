from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from client.activations import Extractor
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.site_config import Numerics
from client.training.augment import view
from common.errors import DataError
from common.imaging.decode import decode
from common.imaging.pipeline import prepare
from common.model.initial import build_branches
from common.model.network import Branch
from common.study.schema import Study
from tests.support.small import PAIR, small_study, write_smears

STUDY = small_study()
TAILS = "tails-1"
CHOICES = [
    Numerics(),
    Numerics(channels_last=True),
    Numerics(precision="bfloat16", channels_last=True),
]


@pytest.fixture(scope="module")
def branches() -> list[Branch]:
    return build_branches(STUDY, None)


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    return write_smears(tmp_path / "images", 20)


class Desk:
    """Opens extractors over caches of their own, and closes them."""

    def __init__(self, folder: Path, branches: list[Branch]) -> None:
        self.folder = folder
        self.branches = branches

    def open(self, cache: str = "cache", study: Study = STUDY, **numerics: Any) -> Extractor:
        self.cache = ActivationCache(self.folder / cache, 10**8)
        return Extractor(study, self.branches, self.cache, Numerics(**numerics))


@pytest.fixture
def desk(tmp_path: Path, branches: list[Branch]) -> Desk:
    return Desk(tmp_path, branches)


def pixels(example: Example, number: int = 0) -> torch.Tensor:
    """Prepare one view of an image, float32 (1, 3, height, width) in [-1, 1]."""
    image = prepare(decode(example.image.read_bytes()), STUDY.imaging)
    image = view(image, number, STUDY.augmentation, STUDY.seed, example.digest)
    return torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def direct(branches: list[Branch], example: Example, number: int = 0) -> NDArray[np.float32]:
    """Pass one image alone through both branches; activations are kept as float16 between."""
    with torch.inference_mode():
        found = [b.tail(b.front(pixels(example, number)).half().float())[0] for b in branches]
    result: NDArray[np.float32] = torch.cat(found).numpy()
    return result


def numbers_of(extractor: Extractor) -> list[int]:
    """Count the records of every shelf."""
    return sorted(
        len((folder / "keys.txt").read_text().splitlines())
        for folder in extractor.cache.folder.iterdir()
        if folder.is_dir()
    )


def test_cached_features_are_those_of_a_direct_forward(
    desk: Desk, branches: list[Branch], examples: list[Example]
) -> None:
    extractor = desk.open()
    found = extractor.features(examples, 2, TAILS)
    assert found.dtype == np.float32
    assert found.shape == (20, 2, 256 + 128)
    for i in (0, 7, 19):
        for number in (0, 1):
            expected = direct(branches, examples[i], number)
            np.testing.assert_allclose(found[i, number], expected, rtol=1e-3, atol=2e-3)
    distance = np.abs(found[1:, 0] - found[:-1, 0]).max()
    assert distance > 0.1  # far above the tolerance


def test_activations_are_the_fronts_to_half_precision(
    desk: Desk, branches: list[Branch], examples: list[Example]
) -> None:
    extractor = desk.open()
    extractor.fill(examples, 2)
    images, views = np.array([3, 17, 3]), np.array([1, 0, 0])
    for number, branch in enumerate(branches):
        found = extractor.draw(number, examples, images, views)
        with torch.inference_mode():
            expected = torch.cat(
                [
                    branch.front(pixels(examples[i], int(v)))
                    for i, v in zip(images, views, strict=True)
                ]
            ).numpy()
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, expected, rtol=2**-10, atol=1e-4)


def test_the_second_call_needs_no_image_and_computes_nothing(
    desk: Desk, examples: list[Example]
) -> None:
    extractor = desk.open()
    first = extractor.features(examples, 2, TAILS)
    held = numbers_of(extractor)
    assert held == [40] * 4  # front and tail of two branches, 20 images in two views
    for example in examples:
        example.image.unlink()
    np.testing.assert_array_equal(extractor.features(examples, 2, TAILS), first)
    np.testing.assert_array_equal(extractor.features(examples[4:6], 1, TAILS), first[4:6, :1])
    desk.cache.close()
    np.testing.assert_array_equal(desk.open().features(examples, 2, TAILS), first)
    assert numbers_of(extractor) == held


def test_other_tails_reuse_the_fronts(desk: Desk, examples: list[Example]) -> None:
    extractor = desk.open()
    first = extractor.features(examples, 1, TAILS)
    for example in examples:
        example.image.unlink()
    weights = [p for branch in desk.branches for p in branch.tail.parameters() if p.requires_grad]
    kept = [p.detach().clone() for p in weights]
    with torch.no_grad():
        for parameter in weights:
            parameter.mul_(1.1)
        changed = extractor.features(examples, 1, "tails-2")
        for parameter, before in zip(weights, kept, strict=True):
            parameter.copy_(before)
    assert np.abs(changed - first).max() > 1e-2
    np.testing.assert_array_equal(extractor.features(examples, 1, TAILS), first)
    assert numbers_of(extractor) == [20] * 6


def test_what_one_backbone_has_already_is_not_mixed_up(
    desk: Desk, branches: list[Branch], examples: list[Example]
) -> None:
    """As after a kill between two shelves, or a study that shares one of the backbones."""
    expected = desk.open("whole").features(examples, 1, TAILS)
    cache = ActivationCache(desk.folder / "partial", 10**8)
    alone = Extractor(small_study(backbones=PAIR[:1]), branches[:1], cache, Numerics())
    alone.fill(examples[3:8], 1)
    both = Extractor(STUDY, branches, cache, Numerics())
    np.testing.assert_array_equal(both.features(examples, 1, TAILS), expected)


@pytest.mark.parametrize("numerics", CHOICES, ids=lambda n: f"{n.precision}-{n.channels_last}")
def test_neighbours_in_a_batch_change_no_bit(
    desk: Desk, examples: list[Example], numerics: Numerics
) -> None:
    settings = numerics.model_dump()
    together = desk.open("together", **settings).features(examples, 1, TAILS)
    alone = desk.open("alone", **settings)
    for i in (19, 0, 6):
        found = alone.features([examples[i]], 1, TAILS)
        np.testing.assert_array_equal(found[0], together[i])
    turned = desk.open("turned", **settings).features(examples[::-1], 1, TAILS)
    np.testing.assert_array_equal(turned[::-1], together)


def test_views_differ_and_come_back(desk: Desk, examples: list[Example]) -> None:
    some = examples[:3]
    found = desk.open("first").features(some, 3, TAILS)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(found[:, a] - found[:, b]).max(axis=1).min() > 1e-3
    np.testing.assert_array_equal(desk.open("second").features(some, 3, TAILS), found)
    later = desk.open("third")
    later.features(some, 1, TAILS)
    np.testing.assert_array_equal(later.features(some, 3, TAILS), found)


def test_another_seed_gives_other_views_of_the_same_image(
    desk: Desk, examples: list[Example]
) -> None:
    found = desk.open("cache").features(examples[:2], 2, TAILS)
    desk.cache.close()
    reseeded = STUDY.model_copy(update={"seed": 2})
    other = desk.open("cache", reseeded).features(examples[:2], 2, TAILS)
    np.testing.assert_array_equal(other[:, 0], found[:, 0])
    assert np.abs(other[:, 1] - found[:, 1]).max() > 1e-3


def test_features_now_are_the_features_of_the_tail_as_loaded(
    desk: Desk, branches: list[Branch], examples: list[Example]
) -> None:
    extractor = desk.open()
    found = [extractor.features_now(branch, examples) for branch in branches]
    cached = extractor.features(examples, 1, TAILS)[:, 0]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), cached)
    assert extractor.features_now(branches[1], []).shape == (0, 128)
    assert extractor.features([], 2, TAILS).shape == (0, 2, 384)


@pytest.mark.parametrize("damage", ["removed", "damaged"])
def test_an_image_that_was_lost_since_the_scan_is_not_named(
    desk: Desk, examples: list[Example], damage: str
) -> None:
    lost = examples[1].image
    lost.unlink() if damage == "removed" else lost.write_bytes(b"no image")
    with pytest.raises(DataError, match="To fix:") as caught:
        desk.open().features(examples, 1, TAILS)
    assert lost.name not in str(caught.value)
    if damage == "removed":
        assert str(lost) in caught.value.local_detail
