import numpy as np
import pytest

from common.seeds import stream
from simulations.dealing import (
    dirichlet_targets,
    fitted,
    gathered,
    laid_out,
    lognormal_targets,
    sharded,
)

TOTALS = np.array([500, 300, 200])


def single(totals: np.ndarray) -> np.ndarray:
    """Groups of one image each: as many of each class as there are images of it."""
    return np.repeat(np.eye(len(totals), dtype=np.int64), totals, axis=0)


def test_dirichlet_shares_are_numpys_own_draw() -> None:
    expected = np.random.default_rng(5).dirichlet([0.5] * 4, size=3).T * TOTALS
    drawn = dirichlet_targets(TOTALS, 4, 0.5, np.random.default_rng(5))
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_allclose(drawn.sum(axis=0), TOTALS)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 20.0])
def test_moments_of_the_images_that_sites_get(alpha: float) -> None:
    """A share p of Dir(a, ..., a) over S sites: mean 1 / S, variance (1/S)(1 - 1/S) / (S a + 1)."""
    sites = 4
    got = []
    for seed in range(200):
        generator = stream(seed, "test")
        counts = single(np.array([40, 20]))
        site = fitted(counts, dirichlet_targets(counts.sum(axis=0), sites, alpha, generator),
                      generator)  # fmt: skip
        got.append([counts[site == s, 0].sum() / 40 for s in range(sites)])
    shares = np.array(got)
    variance = (1 / sites) * (1 - 1 / sites) / (sites * alpha + 1)
    np.testing.assert_allclose(shares.mean(axis=0), 0.25, atol=4 * np.sqrt(variance / 200))
    assert shares.var() == pytest.approx(variance, rel=0.15, abs=0.0003)


def test_single_images_are_fitted_to_within_one() -> None:
    for seed in range(20):
        generator = stream(seed, "test")
        targets = dirichlet_targets(TOTALS, 5, 0.3, generator)
        counts = single(TOTALS)
        site = fitted(counts, targets, generator)
        held = np.stack([counts[site == s].sum(axis=0) for s in range(5)])
        assert (np.abs(held - targets) < 1).all()


def test_groups_are_fitted_by_hand() -> None:
    """The groups of 6 and 5 go to the empty bins of 7 and 6, then 1 and 1 to what misses most."""
    counts = np.array([[1], [5], [1], [6]])
    chosen = fitted(counts, np.array([[7.0], [6.0]]), stream(1, "test"))
    assert [int(counts[chosen == b].sum()) for b in range(2)] == [7, 6]
    assert chosen[3] == 0
    assert chosen[1] == 1


def test_the_largest_group_of_each_class_trains() -> None:
    generator = stream(3, "test")
    shares = np.array([0.65, 0.15, 0.2])
    for _ in range(50):
        counts = np.diag(generator.integers(3, 40, size=3))
        counts = np.concatenate([counts, np.eye(3, dtype=np.int64), np.eye(3, dtype=np.int64)])
        part = fitted(counts, np.outer(shares, counts.sum(axis=0)), generator, is_relative=True)
        assert (part[:3] == 0).all()
        assert set(part.tolist()) == {0, 1, 2}


def test_lognormal_sizes_are_numpys_own_draw() -> None:
    sizes = np.exp(0.8 * np.random.default_rng(2).standard_normal(3))
    drawn = lognormal_targets(TOTALS, 3, 0.8, np.random.default_rng(2))
    np.testing.assert_allclose(drawn, np.outer(sizes / sizes.sum(), TOTALS))


def test_a_line_is_cut_at_equal_numbers_of_images() -> None:
    sizes = np.array([2, 4, 1, 1, 4])
    pieces = laid_out([3, 0, 2, 1, 4], sizes, 3)
    assert pieces.tolist() == [0, 1, 0, 0, 2]  # middles at 2, 6, 3.5, 0.5, 10 of 12


def test_shards_hold_few_classes_and_equally_many_images() -> None:
    counts = single(np.array([120, 120, 120, 120]))
    for seed in range(10):
        site = sharded(counts, 6, 2, stream(seed, "test"))
        held = np.stack([counts[site == s].sum(axis=0) for s in range(6)])
        assert (held.sum(axis=1) == 80).all()
        assert ((held > 0).sum(axis=1) <= 2).all()  # twelve shards of forty: none has two classes
        assert (held.sum(axis=0) == 120).all()


def test_stains_are_gathered_and_numbered_from_dark_to_light() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, size=60)
    colours = generator.normal(size=(60, 24)) + 40.0 * truth[:, None]
    sizes = generator.integers(1, 9, size=60)
    for seed in range(4):
        np.testing.assert_array_equal(gathered(colours, sizes, 3, seed), truth)
