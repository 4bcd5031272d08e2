import numpy as np
from sklearn.preprocessing import StandardScaler

from common.updates.moments import moment_sums, moments


def test_sums_over_sites_give_the_pooled_standardisation() -> None:
    rows = np.random.default_rng(0).gamma(2.0, 0.3, (300, 8)).astype(np.float32)
    a, b = moment_sums(rows[:40]), moment_sums(rows[40:])
    found = moments({name: a[name] + b[name] for name in a}, len(rows))
    scaler = StandardScaler().fit(rows)
    np.testing.assert_allclose(found["mean"], scaler.mean_, rtol=1e-5)
    np.testing.assert_allclose(1 / found["scale"], scaler.scale_, rtol=1e-4)


def test_any_partition_gives_the_same_bits() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    whole = moment_sums(rows)
    for cut in (1, 17, 49):
        parts = moment_sums(rows[:cut]), moment_sums(rows[cut:])
        for name in whole:
            np.testing.assert_array_equal(parts[0][name] + parts[1][name], whole[name])


def test_a_constant_feature_is_not_blown_up() -> None:
    rows = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    rows[:, 0] = 0.5
    scale = moments(moment_sums(rows), len(rows))["scale"]
    assert np.isfinite(scale).all()
    assert scale[0] <= 1.01 * 20 * np.median(scale)
