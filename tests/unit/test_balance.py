"""Rare classes: weights against scikit-learn's, draws by count, and passes of the same length."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn

from client.training.balance import balanced_draw, class_weights
from client.training.fit import fit_dense
from common.seeds import stream
from common.study.phases import Balance
from common.study.schedule import Schedule

LABELS = np.repeat([0, 2, 3], [60, 25, 15])  # class 1 is nowhere at this site
BALANCES: tuple[Balance, ...] = ("none", "weights", "augmentation")


def test_weights_are_scikit_learns_balanced_ones() -> None:
    np.testing.assert_allclose(class_weights(LABELS), compute_sample_weight("balanced", LABELS))


def test_no_image_weighs_more_than_ten_shares_and_the_mean_is_one() -> None:
    labels = np.array([0] * 997 + [1] * 3)
    weights = class_weights(labels)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(10 / (1000 / (2 * 997)))
    np.testing.assert_array_equal(class_weights(np.zeros(5, np.int64)), 1)


def test_a_pass_draws_as_many_of_each_class_as_its_weight_says() -> None:
    images, views = balanced_draw(LABELS, 4, stream(1, "draw"))
    assert len(images) == len(views) == len(LABELS)
    np.testing.assert_allclose(np.bincount(LABELS[images], minlength=4), [33, 0, 33, 33], atol=1)
    few = np.array([0] * 997 + [1] * 3)
    images, _ = balanced_draw(few, 4, stream(1, "draw"))
    assert np.isclose((few[images] == 1).sum(), class_weights(few)[-3:].sum(), atol=1)


def test_an_image_drawn_again_comes_in_another_view_until_all_were_had() -> None:
    images, views = balanced_draw(LABELS, 3, stream(2, "draw"))
    for image in np.unique(images):
        had = views[images == image]
        assert len(set(had.tolist())) == min(len(had), 3)
    drawn = np.bincount(images, minlength=len(LABELS))
    for label in (2, 3):  # within a class nobody is preferred
        assert np.ptp(drawn[label == LABELS]) <= 1


def test_over_several_passes_every_image_and_view_is_seen() -> None:
    generator, seen = stream(3, "draw"), set[tuple[int, int]]()
    for _ in range(40):
        images, views = balanced_draw(LABELS, 2, generator)
        seen |= set(zip(images.tolist(), views.tolist(), strict=True))
    assert seen == {(image, view) for image in range(len(LABELS)) for view in range(2)}


def rows_of(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    rows = stream(4, "balance test").normal(size=(len(labels), 4)).astype(np.float32)
    rows[np.arange(len(labels)), labels] += 1.0
    return rows


def trained(
    labels: NDArray[np.int64], balance: Balance, **settings: float
) -> tuple[nn.Linear, float]:
    layer = nn.Linear(4, 4)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    schedule = Schedule(
        epochs=int(settings.get("epochs", 300)), batch_size=50, weight_decay=0.0,
        learning_rate=settings.get("rate", 0.02), balance=balance,
    )  # fmt: skip
    loss = fit_dense(
        list(layer.parameters()), layer, rows_of(labels)[:, None], labels, schedule, stream(1, "a")
    )
    return layer, loss


@pytest.mark.parametrize("balance", ["weights", "augmentation"])
def test_balanced_training_reaches_balanced_logistic_regression(balance: Balance) -> None:
    layer, _ = trained(LABELS, balance)
    oracle = LogisticRegression(C=1e6, max_iter=2000, class_weight="balanced")
    oracle.fit(rows_of(LABELS), LABELS)
    plain = LogisticRegression(C=1e6, max_iter=2000).fit(rows_of(LABELS), LABELS)
    with torch.no_grad():
        found = torch.softmax(layer(torch.from_numpy(rows_of(LABELS))), 1).numpy()[:, [0, 2, 3]]
    balanced, unbalanced = (
        np.abs(found - model.predict_proba(rows_of(LABELS))).mean() for model in (oracle, plain)
    )
    assert balanced < 0.04
    assert balanced < 0.5 * unbalanced


@pytest.mark.parametrize("balance", BALANCES)
def test_the_loss_told_is_a_sum_over_as_many_images_as_there_are(balance: Balance) -> None:
    _, loss = trained(LABELS, balance, epochs=1, rate=1e-12)
    assert loss == pytest.approx(len(LABELS) * math.log(4), rel=1e-4)


@pytest.mark.parametrize("balance", BALANCES)
def test_balancing_takes_no_further_step(balance: Balance) -> None:
    """`common.study.schedule.furthest` bounds an update by the steps of unbalanced passes."""
    steps = []
    schedule = Schedule(3, 8, 0.01, 0.0, balance)
    layer = nn.Linear(4, 4)
    fit_dense(
        list(layer.parameters()), layer, rows_of(LABELS)[:, None], LABELS, schedule,
        stream(1, "a"), pulse=lambda: steps.append(1),
    )  # fmt: skip
    assert len(steps) == 3 * schedule.batches(len(LABELS))


def test_without_balance_nothing_is_drawn_otherwise_than_before() -> None:
    """The draw of a pass, written out: a permutation, and a view for each image."""
    generator = stream(1, "a")
    order, views = generator.permutation(6), generator.integers(2, size=6)
    expected = torch.zeros(1, requires_grad=True)
    rows = np.arange(12, dtype=np.float32).reshape(6, 2, 1)
    seen: list[NDArray[np.float32]] = []

    def forward(batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch.numpy()[:, 0])
        return torch.cat([batch * expected, -batch * expected], dim=1)

    labels = np.array([0, 1, 0, 1, 0, 1])
    parameter = nn.Parameter(expected.detach())
    fit_dense([parameter], forward, rows, labels, Schedule(1, 4, 0.1, 0.0), stream(1, "a"))
    np.testing.assert_array_equal(np.concatenate(seen), rows[order, views[order], 0])
