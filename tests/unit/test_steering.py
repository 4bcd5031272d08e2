"""What a site adds to its gradient, against autograd and a plain simulation of SCAFFOLD."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from client import variates as site_variates
from client.own import OwnFiles
from client.training import steering
from client.training.norms import trained_norms
from common.asks import FitAsk
from common.study.methods import FedProx, Scaffold
from common.study.schedule import Schedule, furthest, furthest_variate
from common.updates.differences import apply, difference
from common.wire import Step
from server import variates as server_variates
from server.aggregation import RunningMean
from server.intake import euclidean
from server.methods import step

Arrays = Mapping[str, NDArray[Any]]
PROX = Schedule(1, 4, 0.1, 0.0, method=FedProx(mu=0.7))


def gradients(module: Any, schedule: Schedule) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the gradients after two steps away from the start: corrected, and by autograd."""
    torch.manual_seed(2)
    layer = nn.Linear(3, 2).double()
    rows, wanted = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    start = [p.detach().clone() for p in layer.parameters()]
    parameters = list(layer.parameters())
    correct = module.correction(parameters, schedule, {})
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(torch.randn_like(parameter))
    (layer(rows) - wanted).square().mean().backward()
    correct()
    corrected = [p.grad.clone() for p in parameters if p.grad is not None]
    distance = torch.stack([(p - s).square().sum() for p, s in zip(parameters, start, strict=True)])
    objective = (layer(rows) - wanted).square().mean() + 0.7 / 2 * distance.sum()
    return corrected, list(torch.autograd.grad(objective, parameters))


def test_fedprox_adds_the_gradient_of_equation_2() -> None:
    for corrected, expected in zip(*gradients(steering, PROX), strict=True):
        torch.testing.assert_close(corrected, expected, rtol=1e-12, atol=1e-12)


def test_fedavg_with_adamw_leaves_every_bit_of_the_gradient() -> None:
    parameter = nn.Parameter(torch.randn(4))
    parameter.grad = torch.randn(4)
    before = parameter.grad.clone()
    steering.correction([parameter], Schedule(1, 4, 0.1, 0.5), {})()
    assert torch.equal(parameter.grad, before)


def test_sgd_shortens_gradient_and_decay_together_and_then_steers() -> None:
    parameter = nn.Parameter(torch.tensor([30.0, 0.0]))
    parameter.grad = torch.tensor([0.0, 4.0])
    schedule = Schedule(1, 4, 0.1, 0.1, optimizer="sgd", clip=1.0)
    steering.correction([parameter], schedule, {parameter: torch.tensor([1.0, 1.0])})()
    torch.testing.assert_close(parameter.grad, torch.tensor([1.6, 1.8]))


# SCAFFOLD on quadratics: f_i(y) = curve_i/2 (y - optimum_i)^2, value by value.
CURVES = np.array([[1.0, 0.3, 2.0], [0.5, 1.5, 0.2], [2.0, 1.0, 1.0], [0.7, 0.4, 1.2]])
OPTIMA = np.array([[1.0, -2.0, 0.5], [-1.5, 0.4, 2.0], [0.2, 1.0, -1.0], [3.0, -0.5, 0.1]])
SITES = ("a", "b", "c", "d")
ROUNDS = (("a", "b", "c", "d"), ("a", "c"), ("b", "c", "d"), ("a", "b", "c", "d"), ("d", "b"))
STEPS, RATE, SERVER_RATE = 5, 0.1, 0.8
STEERED = Schedule(STEPS, 8, RATE, 0.0, optimizer="sgd", clip=1e4,
                   method=Scaffold(server_rate=SERVER_RATE))  # fmt: skip


def plain_scaffold(lost: frozenset[tuple[int, str]] = frozenset()) -> list[NDArray[np.float64]]:
    """Run algorithm 1 of Karimireddy et al. 2020, option II; `lost` replies never arrive."""
    x, c = np.zeros(3), np.zeros(3)
    own = {site: np.zeros(3) for site in SITES}
    places = []
    for number, drawn in enumerate(ROUNDS, start=1):
        dy, dc = [], []
        for site in drawn:
            if (number, site) in lost:
                continue
            i = SITES.index(site)
            y = x.copy()
            for _ in range(STEPS):
                gradient = CURVES[i] * (y - OPTIMA[i])
                y = y - RATE * (gradient - own[site] + c)
            renewed = own[site] - c + (x - y) / (STEPS * RATE)
            dy.append(y - x)
            dc.append(renewed - own[site])
            own[site] = renewed
        x = x + SERVER_RATE * np.mean(dy, axis=0)
        c = c + len(dc) / len(SITES) * np.mean(dc, axis=0)
        places.append(x)
    return places


def our_scaffold(
    folder: Path,
    lost: frozenset[tuple[int, str]] = frozenset(),
    *,
    module: Any = steering,
    site: Any = site_variates,
    coordinator: Any = server_variates,
) -> list[NDArray[np.float64]]:
    """Run the same through the functions that sites and coordinator run."""
    model: Arrays = {"fusion/w": np.zeros(3, np.float32)}
    shared: Arrays = {"fusion/w": np.zeros(3, np.float32)}
    counted: dict[str, int] = {}
    places = []
    for number, drawn in enumerate(ROUNDS, start=1):
        mean, control = RunningMean(model), coordinator.ControlVariate(shared, len(SITES))
        for name in drawn:
            at = Step(study="0" * 64, run="r", phase="fusion", round=number, exchange=0, site=name)
            ask = FitAsk(stage="fusion", counted=counted)
            variates = site.Variates(OwnFiles(folder / name), at, ask, shared)
            parameter = nn.Parameter(torch.from_numpy(model["fusion/w"].copy()))
            correct = module.correction(
                [parameter], STEERED, variates.steering({"fusion/w": parameter})
            )
            optimizer = module.optimizer_of([parameter], STEERED)
            i = SITES.index(name)
            for _ in range(STEPS):
                optimizer.zero_grad()
                off = parameter - torch.from_numpy(OPTIMA[i]).float()
                loss = (torch.from_numpy(CURVES[i]).float() * off.square() / 2).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                correct()
                optimizer.step()
            new = {"fusion/w": parameter.detach().numpy()}
            update = difference(new, model)
            change = variates.advance(new, model, STEERED, 8)
            if (number, name) in lost:
                continue
            assert euclidean(update) <= furthest(STEERED, 8, 3, 0.0)
            control.check(name, change, STEERED)
            mean.add(name, 1, update)
            control.add(name, change)
            counted = {**counted, name: number}
        moved, _ = step(STEERED.method, mean.mean(), {})
        model, shared = apply(model, moved), control.moved()
        places.append(model["fusion/w"].astype(np.float64))
    return places


def test_scaffold_is_algorithm_1(tmp_path: Path) -> None:
    np.testing.assert_allclose(our_scaffold(tmp_path), plain_scaffold(), atol=2e-3)


def test_a_reply_that_is_lost_moves_neither_variate(tmp_path: Path) -> None:
    lost = frozenset({(1, "b"), (3, "d")})
    found = our_scaffold(tmp_path, lost)
    np.testing.assert_allclose(found, plain_scaffold(lost), atol=2e-3)


PLANTED = {
    "pull turned": (steering, "alpha=mu", "alpha=-mu"),
    "pull doubled": (steering, "alpha=mu", "alpha=2 * mu"),
    "steering subtracted": (steering, "(parameter).add_(added)", "(parameter).sub_(added)"),
    "steps not counted": (steering, "schedule.steps(images) * schedule", "schedule"),
    "difference turned": (steering, "(old[name] - new[name])", "(new[name] - old[name])"),
    "shared variate added": (steering, "own[name] - c + ", "own[name] + c + "),
    "own variate left out": (steering, "own[name] - c + ", "-c + "),
    "variates exchanged": (
        site_variates, "self.shared[name] - self.own[name]", "self.own[name] - self.shared[name]"
    ),
    "own variate not moved on": (site_variates, " + change[name].astype(np.float32)", ""),
    "share of the sites left out": (server_variates, "share * change", "change"),
    "shared variate turned": (server_variates, "[name] + share", "[name] - share"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_found(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, old, new = PLANTED[name]
    source = inspect.getsource(module)
    assert old in source
    spoilt: Any = ModuleType("spoilt")
    exec(source.replace(old, new), vars(spoilt))
    if module is steering:
        monkeypatch.setattr("client.variates.next_variate", spoilt.next_variate)
        pulled, expected = gradients(spoilt, PROX)
        is_prox = all(torch.allclose(a, b) for a, b in zip(pulled, expected, strict=True))
        found = our_scaffold(tmp_path, module=spoilt)
    else:
        is_prox = True
        role = "site" if module is site_variates else "coordinator"
        found = our_scaffold(tmp_path, **{role: spoilt})
    assert not (is_prox and np.allclose(found, plain_scaffold(), atol=2e-3))


def test_no_variate_changes_further_than_clipped_gradients_can() -> None:
    schedule = Schedule(1, 4, 0.1, 0.0, optimizer="sgd", clip=2.0, method=Scaffold(), networks=4)
    assert 8.0 < furthest_variate(schedule, 10) < 8.1  # two networks' worth of clips, both ways
    assert 2.4 < furthest(schedule, 8, 10, 5.0) < 2.43  # two steps, three clips each


def test_norms_learn_only_within_their_context() -> None:
    tail = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)).eval()
    tail[1].requires_grad_(False)
    with trained_norms(tail, wanted=True):
        assert tail[1].training
        assert tail[1].weight.requires_grad
        assert not tail[0].training
    with trained_norms(tail, wanted=False):
        assert not tail[1].training
    assert not tail[1].weight.requires_grad
