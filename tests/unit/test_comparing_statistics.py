"""Figures and intervals of a comparison, against scikit-learn and a bootstrap written by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from common.seeds import stream
from simulations.comparing.account import differences, measured_arms
from simulations.comparing.statistics import (
    FIGURES,
    Bootstrap,
    Counts,
    is_distinguishable,
    mean_of,
)

CLASSES, GROUPS, SEEDS, FOLDS, REPLICATES = 4, 20, 2, 3, 60
LABELS = np.random.default_rng(1).integers(CLASSES, size=160)
GROUP = np.random.default_rng(2).integers(GROUPS, size=160)
GROUP[:GROUPS] = np.arange(GROUPS)


def guesses(share_right: float, seed: int) -> NDArray[np.int64]:
    """Predictions (seeds, images), so often right."""
    generator = np.random.default_rng(seed)
    wrong = generator.integers(CLASSES, size=(SEEDS, len(LABELS)))
    return np.where(generator.random(wrong.shape) < share_right, LABELS, wrong)


def counts(predicted: NDArray[np.int64]) -> Counts:
    """Count them, each group in a fold that differs from seed to seed."""
    folds = [
        [
            {int(i): int(row[i]) for i in np.flatnonzero((GROUP + seed * (GROUP > 9)) % FOLDS == k)}
            for k in range(FOLDS)
        ]
        for seed, row in enumerate(predicted)
    ]
    return Counts.of(folds, LABELS, GROUP, CLASSES)


def bootstrap() -> Bootstrap:
    return Bootstrap(np.arange(GROUPS), REPLICATES, seed=3)


def by_hand(predicted: NDArray[np.int64], chosen: NDArray[np.int64]) -> float:
    """The mean over seeds of scikit-learn's macro F1."""
    truth = LABELS[chosen]
    return float(
        np.mean(
            [
                f1_score(truth, row[chosen], average="macro", labels=np.unique(truth),
                         zero_division=0)
                for row in predicted
            ]
        )
    )  # fmt: skip


def test_figures_are_scikit_learns() -> None:
    predicted = guesses(0.7, 5)
    found = {
        name: bootstrap().measured(counts(predicted), figure) for name, figure in FIGURES.items()
    }
    every = np.arange(len(LABELS))
    assert found["macro_f1"].mean == pytest.approx(by_hand(predicted, every))
    assert found["accuracy"].mean == pytest.approx(
        np.mean([accuracy_score(LABELS, row) for row in predicted])
    )
    for seed, row in enumerate(predicted):
        for fold in range(FOLDS):
            chosen = (GROUP + seed * (GROUP > 9)) % FOLDS == fold
            assert found["accuracy"].by_fold[seed, fold] == pytest.approx(
                accuracy_score(LABELS[chosen], row[chosen])
            )


def test_a_paired_bootstrap_draws_the_same_groups_for_both_arms_and_all_seeds() -> None:
    """Image by image, with scikit-learn: no counts, no sums of counts."""
    ours, theirs = guesses(0.8, 5), guesses(0.6, 6)
    drawn = stream(3, "comparison").multinomial(
        GROUPS, np.full(GROUPS, 1 / GROUPS), size=REPLICATES
    )
    gains = []
    for times in drawn:
        chosen = np.repeat(np.arange(len(LABELS)), times[GROUP])
        gains.append(by_hand(ours, chosen) - by_hand(theirs, chosen))
    figure = FIGURES["macro_f1"]
    found = bootstrap().measured(counts(ours), figure) - bootstrap().measured(
        counts(theirs), figure
    )
    np.testing.assert_allclose(found.replicates, gains, atol=1e-12)
    np.testing.assert_allclose(found.interval, np.percentile(gains, (2.5, 97.5)), atol=1e-12)


def test_the_interval_of_one_seed_is_scipys_cluster_bootstrap() -> None:
    """Accuracy is a ratio of sums over groups, which scipy can draw by itself."""
    row = guesses(0.7, 5)[0]
    right = np.bincount(GROUP, row == LABELS, GROUPS)
    size = np.bincount(GROUP, minlength=GROUPS).astype(float)
    theirs = stats.bootstrap(
        (right, size), lambda r, s, axis=-1: r.sum(axis) / s.sum(axis), paired=True,
        method="percentile", n_resamples=20_000, rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    many = Bootstrap(np.arange(GROUPS), 20_000, seed=3)
    only = [[{i: int(label) for i, label in enumerate(row)}]]
    found = many.measured(Counts.of(only, LABELS, GROUP, CLASSES), FIGURES["accuracy"])
    np.testing.assert_allclose(found.interval, (theirs.low, theirs.high), atol=0.005)


def test_intervals_of_a_difference_hold_the_truth_as_often_as_they_say() -> None:
    """Forty groups that differ in difficulty, two arms, 400 datasets: near 95 of 100."""
    generator = np.random.default_rng(7)
    group = np.repeat(np.arange(40), 8)
    labels = group % 2
    held = 0
    for _ in range(400):
        hard = generator.normal(0, 0.1, 40)[group]
        arms = [
            np.where(generator.random(320) < np.clip(right - hard, 0, 1), labels, 1 - labels)
            for right in (0.8, 0.72)
        ]
        measured = [
            Bootstrap(np.arange(40), 400, seed=1).measured(
                Counts.of([[dict(enumerate(arm.tolist()))]], labels, group, 2), FIGURES["accuracy"]
            )
            for arm in arms
        ]
        low, high = (measured[0] - measured[1]).interval
        held += low <= 0.08 <= high
    assert 0.91 <= held / 400 <= 0.98


def test_an_arm_cannot_be_told_from_its_equal() -> None:
    same = counts(guesses(0.7, 5))
    arms = measured_arms({"one": same, "other": same, "worse": counts(guesses(0.2, 8))},
                         bootstrap(), {})  # fmt: skip
    found = {(d.a, d.b, d.metric): d for d in differences(arms)}
    assert len(found) == 6
    equal = found["one", "other", "macro_f1"]
    assert (equal.mean, equal.interval, equal.distinguishable) == (0.0, (0.0, 0.0), False)
    worse = found["one", "worse", "accuracy"]
    assert worse.distinguishable
    assert (worse.mean or 0) > 0.2


def test_the_mean_over_sites_stands_before_them_and_is_taken_in_every_replicate() -> None:
    own = {name: counts(guesses(0.5, seed)) for seed, name in enumerate(("pooled", "n", "s"))}
    arms = measured_arms(own, bootstrap(), {"pooled": ("pooled",), "local": ("n", "s")})
    assert list(arms) == ["pooled", "local", "n", "s"]
    expected = (arms["n"]["macro_f1"].replicates + arms["s"]["macro_f1"].replicates) / 2
    np.testing.assert_allclose(arms["local"]["macro_f1"].replicates, expected)
    assert mean_of([arms["n"]["accuracy"]]).mean == arms["n"]["accuracy"].mean


def test_a_group_that_no_arm_was_tested_on_is_never_drawn() -> None:
    half = Counts.of([[{i: 0 for i in range(len(LABELS)) if GROUP[i] < 10}]], LABELS, GROUP, 4)
    found = Bootstrap(np.arange(10), REPLICATES, 3).measured(half, FIGURES["accuracy"])
    assert not np.isnan(found.replicates).any()


@pytest.mark.parametrize(
    ("interval", "expected"),
    [((0.1, 0.2), True), ((-0.2, -0.1), True), ((-0.1, 0.1), False), ((0.0, 0.1), False),
     ((float("nan"), float("nan")), False)],
)  # fmt: skip
def test_an_interval_that_holds_zero_shows_nothing(
    interval: tuple[float, float], expected: bool
) -> None:
    assert is_distinguishable(interval) is expected
