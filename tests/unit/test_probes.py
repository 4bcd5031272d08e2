from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.manifest import Example
from simulations.baselines import linear_probe
from simulations.folds import group_folds
from simulations.probes import probed, topped_up
from simulations.screening import Ground

CLASSES = ("Benign", "Early", "Pre")


def ground(sizes: tuple[int, ...]) -> Ground:
    """So many groups of each class, of four images each."""
    labels = np.repeat(np.arange(len(sizes)), np.array(sizes) * 4)
    examples = tuple(
        Example(Path(f"{i}.png"), int(label), f"group {i // 4}", digest=f"{i:064}")
        for i, label in enumerate(labels)
    )
    groups = [e.group for e in examples]
    return Ground(examples, CLASSES, (tuple(group_folds(labels, groups, 3, 1)),))


def rows(of: Ground, spread: float, seed: int = 1) -> NDArray[np.float64]:
    centres = np.random.default_rng(5).normal(size=(len(CLASSES), 6))
    noise = np.random.default_rng(seed).normal(size=(len(of.examples), 6))
    return centres[of.labels] + spread * noise


def test_every_image_is_predicted_by_its_fold_s_probe() -> None:
    here = ground((9, 9, 9))
    x = rows(here, 1.0)
    found = probed(here, [x])
    assert found.shape == (1, len(here.examples))
    for fold in here.divisions[0]:
        probe = linear_probe(
            x[fold.train], here.labels[fold.train],
            x[fold.validation], here.labels[fold.validation], classes=3,
        )  # fmt: skip
        np.testing.assert_array_equal(
            found[0][fold.test], probe.probabilities(x[fold.test]).argmax(axis=1)
        )


def test_further_views_are_trained_on_and_never_tested() -> None:
    """A second view that says nothing but the truth changes the fit, not what is tested."""
    here = ground((9, 9, 9))
    x = rows(here, 3.0)
    nonsense = np.full_like(x, np.nan)
    for fold in here.divisions[0]:
        nonsense[fold.train] = 0  # each image is in the training part of some fold
    told = rows(here, 0.01, seed=2)
    assert (probed(here, [x, told])[0] != probed(here, [x])[0]).any()
    perfect = probed(here, [told, x])[0]
    assert (perfect == here.labels).mean() > (probed(here, [x, told])[0] == here.labels).mean()


def test_rare_classes_are_topped_up_by_views_not_yet_used() -> None:
    labels = np.array([0] * 10 + [1] * 4 + [2] * 2)
    images, views = topped_up(labels, 3)
    assert Counter(labels[images].tolist()) == {0: 10, 1: 10, 2: 6}  # 2 images have 6 views
    assert len(set(zip(images.tolist(), views.tolist(), strict=True))) == len(images)
    assert set(images[views == 0].tolist()) == set(range(16))
    assert not (labels[images[views > 0]] == 0).any()
    second = images[(views == 1) & (labels[images] == 1)]
    assert len(second) == 4, "third views come once all second ones are used"


def test_balanced_classes_and_single_views_are_left_alone() -> None:
    labels = np.array([0, 1, 2] * 5)
    for given, views in ((labels, 4), (np.array([0, 0, 1]), 1)):
        images, numbers = topped_up(given, views)
        np.testing.assert_array_equal(images, np.arange(len(given)))
        assert not numbers.any()


def test_balance_helps_a_rare_class() -> None:
    here = ground((24, 24, 4))
    x = rows(here, 1.6)
    views = [x, *(rows(here, 1.6, seed) for seed in range(2, 8))]
    rare = here.labels == 2
    plain = (probed(here, [x])[0][rare] == 2).mean()
    assert (probed(here, [x], balance="weights")[0][rare] == 2).mean() > plain
    assert (probed(here, views, balance="augmentation")[0][rare] == 2).mean() > plain
