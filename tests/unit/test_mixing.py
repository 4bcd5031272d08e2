"""Batches mixed with themselves, against the papers written out value by value."""

import numpy as np
import pytest

from client.training.mixing import Blend
from common.seeds import stream
from common.study.phases import Mixing
from common.study.schedule import Schedule


def schedule(mixing: Mixing, alpha: float = 1.0) -> Schedule:
    return Schedule(1, 8, 0.1, 0.0, mixing=mixing, mixing_alpha=alpha)


def drawn(mixing: Mixing, seed: int, sides: tuple[int, ...] = (), alpha: float = 1.0) -> Blend:
    blend = Blend.drawn(schedule(mixing, alpha), 6, stream(seed, "mixing test"), sides)
    assert blend is not None
    return blend


def test_nothing_is_drawn_where_nothing_is_mixed() -> None:
    generator, untouched = stream(1, "mixing test"), stream(1, "mixing test")
    assert Blend.drawn(schedule("none"), 6, generator, (4, 4)) is None
    assert generator.random() == untouched.random()


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 4, 4)])
def test_mixup_is_the_weighted_mean_of_two_images(shape: tuple[int, ...]) -> None:
    batch = stream(2, "mixing test").normal(size=shape).astype(np.float32)
    kept = batch.copy()
    blend = drawn("mixup", 3, shape[2:])
    found = blend.inputs(batch)
    assert sorted(blend.others) == list(range(6))
    for place in np.ndindex(shape):
        image, rest = place[0], place[1:]
        other = batch[(blend.others[image], *rest)]
        expected = blend.share * batch[place] + (1 - blend.share) * other
        assert found[place] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_array_equal(batch, kept)
    assert found.dtype == np.float32


def test_shares_follow_the_beta_distribution() -> None:
    shares = [drawn("mixup", seed, alpha=0.4).share for seed in range(2000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)  # of Beta(a, a)


def test_cutmix_takes_a_box_and_shares_by_what_is_left_outside_it() -> None:
    batch = np.arange(6 * 2 * 8 * 5, dtype=np.float16).reshape(6, 2, 8, 5)
    left = []
    for seed in range(300):
        blend = drawn("cutmix", seed, (8, 5))
        found, other = blend.inputs(batch), batch[blend.others]
        assert blend.box is not None
        inside = np.zeros((8, 5), dtype=bool)
        inside[blend.box[0], blend.box[1]] = True
        np.testing.assert_array_equal(found, np.where(inside, other, batch))
        assert blend.share == pytest.approx(1 - inside.mean())
        left.append(blend.share)
    assert min(left) < 0.2
    assert max(left) == 1.0  # a box may be so small that nothing is cut


def test_every_place_of_a_map_is_cut_from_time_to_time() -> None:
    cut = np.zeros((8, 5))
    for seed in range(500):
        rows, columns = drawn("cutmix", seed, (8, 5)).box or (slice(0), slice(0))
        cut[rows, columns] += 1
    assert cut.min() > 50


def test_features_which_have_no_sides_are_mixed_up() -> None:
    blend = drawn("cutmix", 4)
    assert blend.box is None
    assert blend.share == drawn("mixup", 4).share
