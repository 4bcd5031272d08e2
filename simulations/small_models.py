"""A federation of small models on generated features: methods compared in seconds, without images.

Sites train with `client.training`, the coordinator adds with `server.aggregation` and steps with
`server.methods`, on the float16 differences that travel.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from client.own import OwnFiles
from client.site_config import Numerics
from client.training.fit import fit_dense, fit_tail
from client.training.norms import trained_norms
from client.training.steering import Steering
from client.variates import Variates
from common.asks import FitAsk
from common.model.network import Branch
from common.seeds import stream
from common.study.methods import (
    Scaffold,
    Weights,
)
from common.study.phases import FusionPhase
from common.study.schedule import Schedule
from common.study.schema import LabelSet, Study
from common.updates.differences import apply, difference
from common.wire import Step
from server.aggregation import RunningMean
from server.methods import step
from server.participants import drawn
from server.variates import ControlVariate

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Data:
    """What one site holds, and the images its model is tested on."""

    rows: Rows
    labels: Labels
    test_rows: Rows
    test_labels: Labels


@dataclass(frozen=True)
class Way:
    """How a federation trains."""

    schedule: Schedule
    rounds: int
    weights: Weights = "examples"
    share: float = 1.0
    own: tuple[str, ...] = ()
    """Beginnings of the names of what stays at a site."""


@dataclass(frozen=True)
class Score:
    """How a trained federation does on all sites' test rows."""

    loss: float
    accuracy: float


class Dense(nn.Module):
    """A softmax head that begins at zero, on the features or on a hidden layer."""

    def __init__(self, width: int, classes: int, hidden: int = 0) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.body = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.head = nn.Linear(hidden or width, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        found: torch.Tensor = self.head(self.body(rows))
        return found

    def train_on(
        self, data: Data, way: Way, chance: np.random.Generator, steering: Steering
    ) -> None:
        """Train as a site's dense layers are trained."""
        fit_dense(
            list(self.parameters()), self, data.rows[:, None], data.labels, way.schedule, chance,
            steering=steering,
        )  # fmt: skip


class Normed(nn.Module):
    """A branch whose tail is a convolution, BatchNorm and ReLU, trained as tails are."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(4)
        layers = (nn.Conv2d(width, 16, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten())
        self.branch = Branch("normed", nn.Sequential(), nn.Sequential(*layers), 16, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.branch.logits(self.branch.tail(rows[:, :, None, None]))

    def train_on(
        self, data: Data, way: Way, chance: np.random.Generator, steering: Steering
    ) -> None:
        """Train as a site's tails are trained; norms of its own, too, where it has any."""
        with trained_norms(self.branch.tail, wanted=bool(way.own)):
            fit_tail(
                self.branch, lambda images, _: data.rows[images][:, :, None, None], 1, data.labels,
                way.schedule, chance, Numerics(), steering=steering,
            )  # fmt: skip


def run(made: Sequence[Data], build: Callable[[int, int], nn.Module], way: Way, seed: int) -> Score:
    """Train a federation, and test it at every site with what that site would use.

    Args:
        made: what each site holds.
        build: makes a model for so many features and classes: a `Dense` or a `Normed`.
        way: how it is trained.
        seed: orders rows and draws sites.
    """
    sites = {f"s{number:02}": data for number, data in enumerate(made)}
    classes = 1 + max(int(data.labels.max()) for data in made)
    model: Any = build(made[0].rows.shape[1], classes)
    study = Study(
        name="case", seed=seed, sites=tuple(sites), quorum=1,
        labels=LabelSet(name="classes", classes=("one", "other")),
    )  # fmt: skip
    phase = FusionPhase(participation=way.share)
    start = _arrays(model)
    kept = {site: _own(start, way) for site in sites}
    # BatchNorm is frozen, as it is in a study, or a site's own.
    held: Arrays = {n: a for n, a in start.items() if n not in kept["s00"] and "tail.1." not in n}
    shared: Arrays = {name: np.zeros_like(array) for name, array in held.items()}
    memory: Arrays = {}
    counted: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, way.rounds + 1):
            mean, control = RunningMean(held), ControlVariate(shared, len(sites))
            asked, ask = (
                drawn(study, phase, number, list(sites)),
                FitAsk(stage="fusion", counted=counted),
            )
            for site in asked:
                data = sites[site]
                _load(model, {**start, **held, **kept[site]})
                at = Step(
                    study="0" * 64, run="case", phase="fusion", round=number, exchange=0, site=site
                )
                variates = Variates(OwnFiles(Path(folder) / site), at, ask, shared)
                is_steered = isinstance(way.schedule.method, Scaffold)
                steering = variates.steering(dict(model.named_parameters())) if is_steered else {}
                model.train_on(data, way, stream(seed, "fit", number, site), steering)
                new = _arrays(model)
                kept[site] = _own(new, way)
                weight = 1 if way.weights == "equal" else len(data.rows)
                mean.add(site, weight, difference(new, held))
                if is_steered:
                    change = variates.advance(new, held, way.schedule, len(data.rows))
                    control.add(site, change)
            moved, memory = step(way.schedule.method, mean.mean(), memory)
            held = apply(held, moved)
            if isinstance(way.schedule.method, Scaffold):
                shared, counted = control.moved(), counted | dict.fromkeys(asked, number)
    return _tested(model, {site: (sites[site], {**start, **held, **kept[site]}) for site in sites})


def _own(arrays: Arrays, way: Way) -> dict[str, NDArray[Any]]:
    return {name: a for name, a in arrays.items() if way.own and name.startswith(way.own)}


def _tested(model: nn.Module, sites: Mapping[str, tuple[Data, Arrays]]) -> Score:
    losses, right = [], []
    for data, arrays in sites.values():
        _load(model, arrays)
        with torch.no_grad():
            logits, truth = (
                model(torch.from_numpy(data.test_rows)),
                torch.from_numpy(data.test_labels),
            )
            losses.append(nn.functional.cross_entropy(logits, truth, reduction="none").numpy())
            right.append((logits.argmax(1) == truth).numpy())
    return Score(float(np.concatenate(losses).mean()), float(np.concatenate(right).mean()))


def _arrays(model: nn.Module) -> dict[str, NDArray[Any]]:
    state = model.state_dict()
    return {
        name: tensor.numpy().copy()
        for name, tensor in state.items()
        if tensor.is_floating_point() and "standardised" not in name
    }


def _load(model: nn.Module, arrays: Arrays) -> None:
    state = model.state_dict()
    for name, array in arrays.items():
        state[name].copy_(torch.from_numpy(array))
