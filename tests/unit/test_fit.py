import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from torch import nn

from client.site_config import Numerics
from client.training.balance import class_weights
from client.training.fit import fit_dense, fit_tail
from client.training.mixing import Blend
from common.model.network import Branch
from common.seeds import stream
from common.study.phases import Balance
from common.study.schedule import Schedule

PLAIN = Numerics()


def separable(n: int = 120) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = stream(3, "fit test")
    labels = generator.integers(0, 3, n)
    rows = generator.normal(size=(n, 5)).astype(np.float32)
    rows[np.arange(n), labels] += 1.5
    return rows, labels


def test_dense_training_reaches_logistic_regression() -> None:
    rows, labels = separable()
    layer = nn.Linear(5, 3)
    schedule = Schedule(epochs=300, batch_size=40, learning_rate=0.02, weight_decay=0.0)
    fit_dense(list(layer.parameters()), layer, rows[:, None], labels, schedule, stream(1, "a"))
    oracle = LogisticRegression(C=1e6, max_iter=2000).fit(rows, labels)
    with torch.no_grad():
        found = torch.softmax(layer(torch.from_numpy(rows)), 1).numpy()
    assert np.abs(found - oracle.predict_proba(rows)).mean() < 0.03


def test_the_loss_told_is_the_sum_over_the_last_pass() -> None:
    rows, labels = separable(30)
    layer = nn.Linear(5, 3)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    still = Schedule(epochs=2, batch_size=8, learning_rate=1e-12, weight_decay=0.0)
    told = fit_dense(list(layer.parameters()), layer, rows[:, None], labels, still, stream(1, "a"))
    assert told == pytest.approx(30 * math.log(3), rel=1e-4)


def small_branch() -> Branch:
    torch.manual_seed(0)
    front = nn.Sequential(OrderedDict(stem=nn.Conv2d(3, 4, 3)))
    tail = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(4, 6, 1), bn=nn.BatchNorm2d(6), act=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
        )
    )  # fmt: skip
    return Branch("small", front, tail, 6, 3)


def train_small(branch: Branch, **settings: Any) -> float:
    generator = stream(5, "tail test")
    labels = generator.integers(0, 3, 40)
    stored = generator.normal(size=(40, 2, 4, 4, 4)).astype(np.float16)
    stored[np.arange(40), :, labels] += 1.5

    def draw(images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.float16]:
        chosen: NDArray[np.float16] = stored[images, views]
        return chosen

    schedule = Schedule(15, 8, learning_rate=0.02, weight_decay=0.0, **settings)
    return fit_tail(branch, draw, 2, labels, schedule, stream(1, "b"), PLAIN)


def test_tail_training_learns_and_leaves_front_and_batch_norm_alone() -> None:
    branch = small_branch()
    before = {name: tensor.clone() for name, tensor in branch.state_dict().items()}
    loss = train_small(branch)
    assert loss < 0.5 * 40 * math.log(3)
    after = branch.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"tail.conv.weight", "tail.conv.bias", "head.weight", "head.bias"}


def test_the_same_seed_trains_the_same_bits() -> None:
    first, again = small_branch(), small_branch()
    train_small(first)
    train_small(again)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def told_loss(rows: NDArray[np.float32], labels: NDArray[np.int64], **settings: Any) -> float:
    """Return the loss of a layer that stands still."""
    torch.manual_seed(2)
    layer = nn.Linear(5, 3)
    schedule = Schedule(1, 30, learning_rate=1e-12, weight_decay=0.0, **settings)
    parameters = list(layer.parameters())
    return fit_dense(parameters, layer, rows[:, None], labels, schedule, stream(1, "a"))


def log_probabilities(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    torch.manual_seed(2)
    with torch.no_grad():
        logits = nn.Linear(5, 3)(torch.from_numpy(rows)).double().numpy()
    found: NDArray[np.float64] = log_softmax(logits, axis=1)
    return found


@pytest.mark.parametrize("balance", ["none", "weights"])
def test_smoothed_labels_are_spread_over_all_classes(balance: Balance) -> None:
    rows, labels = separable(30)
    wanted = 0.8 * np.eye(3)[labels] + 0.2 / 3
    each = -(wanted * log_probabilities(rows)).sum(axis=1)
    weights = class_weights(labels) if balance == "weights" else np.ones(30)
    told = told_loss(rows, labels, label_smoothing=0.2, balance=balance)
    assert told == pytest.approx(float((weights * each).sum()), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_are_mixed_as_the_images_are(smoothing: float) -> None:
    rows, labels = separable(30)
    settings: dict[str, Any] = {"mixing": "mixup", "mixing_alpha": 1.0}
    generator = stream(1, "a")
    order = generator.permutation(30)
    generator.integers(1, size=30)
    blend = Blend.drawn(Schedule(1, 30, 1e-12, 0.0, **settings), 30, generator)
    assert blend is not None
    mixed = blend.share * rows[order] + (1 - blend.share) * rows[order][blend.others]
    one_hot = (1 - smoothing) * np.eye(3)[labels[order]] + smoothing / 3
    wanted = blend.share * one_hot + (1 - blend.share) * one_hot[blend.others]
    expected = -(wanted * log_probabilities(mixed.astype(np.float32))).sum()
    told = told_loss(rows, labels, label_smoothing=smoothing, **settings)
    assert told == pytest.approx(float(expected), rel=1e-5)


def test_a_tail_learns_from_boxes_of_other_images() -> None:
    plain, cut = train_small(small_branch()), train_small(small_branch(), mixing="cutmix")
    assert plain < cut < 0.8 * 40 * math.log(3)  # a box of another class cannot all be known
