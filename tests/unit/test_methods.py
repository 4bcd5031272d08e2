"""The coordinator's step of every method, against the papers, PyTorch and Flower."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam as FlowerAdam
from flwr.serverapp.strategy import FedAvgM as FlowerMomentum
from flwr.serverapp.strategy import FedYogi as FlowerYogi
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from common.seeds import stream
from common.study.methods import FedAdam, FedAvg, FedAvgM, FedProx, FedYogi, Method, Scaffold
from server import methods

Values = NDArray[np.float64]
Run = Callable[[Method, Sequence[Values]], list[Values]]
CASES: tuple[Method, ...] = (
    FedAvg(),
    FedProx(mu=0.3),
    Scaffold(server_rate=0.7),
    FedAvgM(server_rate=0.6, momentum=0.8),
    FedAdam(server_rate=0.05, beta1=0.8, beta2=0.95, tau=0.02),
    FedYogi(server_rate=0.05, beta1=0.8, beta2=0.95, tau=0.02),
)
NAMES = [method.name for method in CASES]


def mean_updates() -> list[Values]:
    generator = stream(8, "method test")
    scale = np.array([[1e-3, 0.02, 0.1, 1.0]])
    return [generator.normal(0.3, 1.0, (3, 4)) * scale for _ in range(6)]


def ours(method: Method, means: Sequence[Values], module: Any = methods) -> list[Values]:
    place, places = np.ones((3, 4)), []
    memory: dict[str, Values] = {}
    for mean in means:
        change, memory = module.step(method, {"w": mean}, memory)
        place = place + change["w"]
        places.append(place)
    return places


def by_the_paper(method: Method, means: Sequence[Values]) -> list[Values]:
    """Written value by value out of the papers."""
    places = [np.ones((3, 4)) for _ in means]
    for at in np.ndindex(3, 4):
        x, m = 1.0, 0.0
        v = getattr(method, "tau", 0.0) ** 2
        for t, mean in enumerate(means):
            delta = float(mean[at])
            if isinstance(method, FedAvgM):  # Hsu et al.: v <- beta v + dw, w <- w - v
                m = method.momentum * m - delta
                x = x - method.server_rate * m
            elif isinstance(method, FedAdam | FedYogi):  # Reddi et al., algorithm 2
                m = method.beta1 * m + (1 - method.beta1) * delta
                if isinstance(method, FedAdam):
                    v = method.beta2 * v + (1 - method.beta2) * delta * delta
                elif v > delta * delta:
                    v = v - (1 - method.beta2) * delta * delta
                elif v < delta * delta:
                    v = v + (1 - method.beta2) * delta * delta
                x = x + method.server_rate * m / (math.sqrt(v) + method.tau)
            else:
                x = x + getattr(method, "server_rate", 1.0) * delta
            places[t][at] = x
    return places


@pytest.mark.parametrize("method", CASES, ids=NAMES)
def test_each_step_is_the_papers(method: Method) -> None:
    means = mean_updates()
    np.testing.assert_allclose(ours(method, means), by_the_paper(method, means), rtol=1e-12)


def test_fedavg_changes_no_bit_of_the_mean() -> None:
    mean = mean_updates()[0]
    change, memory = methods.step(FedAvg(), {"w": mean}, {})
    assert change["w"] is mean
    assert memory == {}


def test_momentum_is_that_of_pytorch() -> None:
    method = FedAvgM(server_rate=0.6, momentum=0.8)
    weight = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.6, momentum=0.8)
    for mean, place in zip(mean_updates(), ours(method, mean_updates()), strict=True):
        weight.grad = torch.from_numpy(-mean)
        optimizer.step()
        np.testing.assert_allclose(place, weight.detach().numpy(), rtol=1e-12)


def test_adam_is_that_of_pytorch_without_its_correction_of_bias() -> None:
    method = FedAdam(server_rate=0.05, beta1=0.8, beta2=0.95, tau=0.02)
    weight = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.05, betas=(0.8, 0.95), eps=0.02)
    optimizer.state[weight] = {
        "step": torch.tensor(1e6),  # so late that the correction is 1
        "exp_avg": torch.zeros_like(weight),
        "exp_avg_sq": torch.full_like(weight, 0.02**2),
    }
    for mean, place in zip(mean_updates(), ours(method, mean_updates()), strict=True):
        weight.grad = torch.from_numpy(-mean)
        optimizer.step()
        np.testing.assert_allclose(place, weight.detach().numpy(), rtol=1e-9)


def flowers(strategy: Any, means: Sequence[Values], before: Values | None) -> list[Values]:
    """Let a strategy of Flower's aggregate one reply a round: the model moved by the mean."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    place, places = np.ones((3, 4)), []
    for number, mean in enumerate(means, start=1):
        current = ArrayRecord({"w": Array(place)})
        strategy.current_arrays = (
            current if isinstance(strategy, FlowerMomentum) else {"w": place.copy()}
        )
        if number == 1 and before is not None:
            strategy.v_t = {"w": before}
        content = RecordDict(
            {
                "arrays": ArrayRecord({"w": Array(place + mean)}),
                "metrics": MetricRecord({"num-examples": 5}),
            }
        )
        asked = Message(RecordDict(), dst_node_id=1, message_type="train")
        found, _ = strategy.aggregate_train(number, [Message(content, reply_to=asked)])
        place = found.to_numpy_ndarrays()[0]
        places.append(place)
    return places


def test_momentum_is_that_of_flower() -> None:
    strategy = FlowerMomentum(server_learning_rate=0.6, server_momentum=0.8)
    found = flowers(strategy, mean_updates(), None)
    method = FedAvgM(server_rate=0.6, momentum=0.8)
    np.testing.assert_allclose(found, ours(method, mean_updates()), rtol=1e-9)


@pytest.mark.parametrize(("kind", "method"), [(FlowerAdam, FedAdam), (FlowerYogi, FedYogi)])
def test_adaptive_steps_are_those_of_flower(kind: Any, method: Any) -> None:
    """Flower's Adam corrects its bias, and both begin with squares of zero: that is taken out."""
    rates = {"eta": 0.05, "beta_1": 0.8, "beta_2": 0.95, "tau": 0.02}
    means = mean_updates()
    found = flowers(kind(**rates), means, np.full((3, 4), 0.02**2))
    mine = ours(method(server_rate=0.05, beta1=0.8, beta2=0.95, tau=0.02), means)
    factors = [1.0] * len(means)
    if kind is FlowerAdam:
        factors = [
            math.sqrt(1 - 0.95 ** (t + 1.0)) / (1 - 0.8 ** (t + 1.0))
            for t in range(1, len(means) + 1)
        ]
    theirs, own = np.ones((3, 4)), np.ones((3, 4))
    for factor, their_place, my_place in zip(factors, found, mine, strict=True):
        np.testing.assert_allclose(their_place - theirs, factor * (my_place - own), rtol=1e-6)
        theirs, own = their_place, my_place


PLANTED = {
    "momentum subtracted": ("0.0) + mean\n    return settings", "0.0) - mean\n    return settings"),
    "momentum not kept": ("settings.momentum * memory", "memory"),
    "momentum without its rate": ("settings.server_rate * momentum, {", "momentum, {"),
    "squares of Adam not squared": ("settings.beta2) * mean**2\n", "settings.beta2) * mean\n"),
    "Adam forgets too little": ("settings.beta2 * before + (1", "before + (1"),
    "Yogi's sign turned": ("np.sign(before - mean**2)", "np.sign(mean**2 - before)"),
    "Yogi with Adam's factor": ("before - (1 - settings.beta2)", "before - settings.beta2"),
    "tau inside the root": ("(np.sqrt(square) + settings.tau)", "np.sqrt(square + settings.tau)"),
    "tau not squared": ("settings.tau**2", "settings.tau"),
    "beta1 on the wrong term": ("(1 - settings.beta1) * mean", "settings.beta1 * mean"),
    "scaffold without its rate": ("return settings.server_rate * mean", "return mean"),
    "the mean subtracted": ("    return mean, memory", "    return -mean, memory"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_found(name: str) -> None:
    old, new = PLANTED[name]
    source = inspect.getsource(methods)
    assert old in source
    spoilt = ModuleType("spoilt")
    exec(source.replace(old, new), vars(spoilt))
    means = mean_updates()
    with np.errstate(invalid="ignore"):  # roots of what became negative
        off = [
            not np.allclose(ours(method, means, spoilt), by_the_paper(method, means), rtol=1e-6)
            for method in CASES
        ]
    assert any(off)


def test_each_array_has_its_own_memory_and_names_may_contain_one_another() -> None:
    means: Mapping[str, Values] = {"a": np.ones(2), "a/b": np.full(2, 3.0)}
    memory: dict[str, Values] = {}
    for _ in range(3):
        _, memory = methods.step(FedAvgM(momentum=0.5), means, memory)
    assert set(memory) == {"a/momentum", "a/b/momentum"}
    np.testing.assert_allclose(memory["a/momentum"], 1.75)
    np.testing.assert_allclose(memory["a/b/momentum"], 5.25)
