import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

from client.site_config import Numerics
from client.training.fit import fit_dense, fit_tail
from common.model.network import Branch
from common.seeds import stream
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


def train_small(branch: Branch) -> float:
    generator = stream(5, "tail test")
    labels = generator.integers(0, 3, 40)
    stored = generator.normal(size=(40, 2, 4, 4, 4)).astype(np.float16)
    stored[np.arange(40), :, labels] += 1.5

    def draw(images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.float16]:
        chosen: NDArray[np.float16] = stored[images, views]
        return chosen

    schedule = Schedule(epochs=15, batch_size=8, learning_rate=0.02, weight_decay=0.0)
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
