"""Every federated method on a case made to favour it, beside FedAvg at its own best rate.

    python benchmarks/methods.py [--seeds 5] [--only fedavgm scaffold ...]

No images: features are generated, and small models are trained on them. Sites train with
`client.training`, the coordinator adds with `server.aggregation` and steps with `server.methods`,
on the float16 differences that travel. On a seed that does not count, the method and FedAvg are
each given the best of their rates. Told are the means over the other seeds of loss and accuracy on
all sites' test rows, and in how many seeds the method's loss was no higher, half a percent allowed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
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
    FedAdam,
    FedAvg,
    FedAvgM,
    FedProx,
    FedYogi,
    Method,
    Optimizer,
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
torch.set_num_threads(1)


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

    @property
    def told(self) -> str:
        """What was chosen: the sites' rate, and the method's own settings."""
        settings = self.schedule.method.model_dump(exclude={"name"})
        chosen = [f"{name} {value:g}" for name, value in settings.items() if name in _TUNED]
        return ", ".join([f"rate {self.schedule.learning_rate:g}", *chosen])


@dataclass(frozen=True)
class Case:
    """A federated problem, and what is compared on it."""

    why: str
    make: Callable[[np.random.Generator], Sequence[Data]]
    favoured: Sequence[Way]
    plain: Sequence[Way]
    build: Callable[[int, int], nn.Module]


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


def run(case: Case, way: Way, seed: int) -> Score:
    """Train a federation, and test it at every site with what that site would use."""
    made = case.make(stream(seed, "case"))
    sites = {f"s{number:02}": data for number, data in enumerate(made)}
    classes = 1 + max(int(data.labels.max()) for data in made)
    model: Any = case.build(made[0].rows.shape[1], classes)
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


# The cases.


def _split(rows: NDArray[np.float64], labels: Labels, train: int) -> Data:
    short = rows.astype(np.float32)
    return Data(short[:train], labels[:train], short[train:], labels[train:])


def _sampled(
    chance: np.random.Generator, rows: NDArray[np.float64], truth: NDArray[np.float64], train: int
) -> Data:
    """Draw labels from a softmax of rows times truth."""
    logits = rows @ truth + chance.gumbel(size=(len(rows), truth.shape[1]))
    return _split(rows, logits.argmax(axis=1), train)


def ill_conditioned(chance: np.random.Generator) -> list[Data]:
    """Give all sites the same problem, whose directions differ in scale by a factor of 30."""
    scale = np.geomspace(1.0, 1 / 30, 20)
    truth = chance.normal(size=(20, 3)) / scale[:, None]
    return [_sampled(chance, chance.normal(size=(240, 20)) * scale, truth, 120) for _ in range(6)]


def sparse(chance: np.random.Generator) -> list[Data]:
    """Give rows few features that are not zero, the rare ones as telling as the common ones."""
    often = 0.5 / np.arange(1, 61) ** 0.9
    truth = chance.normal(size=(60, 3)) * 3
    return [
        _sampled(chance, (chance.random((400, 60)) < often).astype(float), truth, 200)
        for _ in range(6)
    ]


def drifting(chance: np.random.Generator) -> list[Data]:
    """Give every site another truth around a common one, and mostly one class."""
    common = chance.normal(size=(10, 3))
    sites = []
    for number in range(6):
        truth = common + 1.5 * chance.normal(size=(10, 3))
        truth[0] += 3 * np.eye(3)[number % 3]
        rows = np.hstack([np.ones((300, 1)), chance.normal(size=(300, 9))])
        sites.append(_sampled(chance, rows, truth, 100))
    return sites


def shifted_features(chance: np.random.Generator) -> list[Data]:
    """Let every site see the same features through a scale and an offset of its own."""
    truth, sites = 2 * chance.normal(size=(6, 3)), []
    for _ in range(5):
        data = _sampled(chance, chance.normal(size=(320, 6)), truth, 120)
        scale = np.exp(chance.normal(size=6)).astype(np.float32)
        offset = (3 * chance.normal(size=6)).astype(np.float32)
        sites.append(
            replace(
                data, rows=data.rows * scale + offset, test_rows=data.test_rows * scale + offset
            )
        )
    return sites


def shifted_labels(chance: np.random.Generator) -> list[Data]:
    """Give every site its own shares of the classes, which overlap."""
    centres = chance.normal(size=(4, 8))
    sites = []
    for _ in range(8):
        labels = chance.choice(4, size=360, p=chance.dirichlet([0.3] * 4))
        sites.append(_split(centres[labels] + 1.5 * chance.normal(size=(360, 8)), labels, 160))
    return sites


def unequal(chance: np.random.Generator) -> list[Data]:
    """Give sites the same problem, and some of them very few images."""
    truth = 2 * chance.normal(size=(12, 3))
    sizes = (400, 200, 12, 8, 8, 6, 6, 6)
    return [_sampled(chance, chance.normal(size=(n + 100, 12)), truth, n) for n in sizes]


def outvoted(chance: np.random.Generator) -> list[Data]:
    """Give one large site another truth than the many small ones."""
    common, other = 2 * chance.normal(size=(8, 3)), 2 * chance.normal(size=(8, 3))
    sites = [_sampled(chance, chance.normal(size=(1100, 8)), other, 1000)]
    rest = [_sampled(chance, chance.normal(size=(200, 8)), common, 100) for _ in range(8)]
    return sites + rest


def many(chance: np.random.Generator) -> list[Data]:
    """Spread one problem over forty sites."""
    truth = 2 * chance.normal(size=(12, 3))
    return [_sampled(chance, chance.normal(size=(60, 12)), truth, 30) for _ in range(40)]


_TUNED = ("server_rate", "mu")
_RATES = (0.03, 0.1, 0.3, 1.0, 3.0)


def _ways(
    rounds: int, epochs: int, methods: Sequence[Method], rates: Sequence[float] = _RATES,
    optimizer: Optimizer = "sgd", **settings: Any,
) -> list[Way]:  # fmt: skip
    return [
        Way(
            Schedule(epochs, 20, rate, 0.0, optimizer=optimizer, clip=1e3, method=method),
            rounds, **settings,
        )
        for method, rate in product(methods, rates)
    ]  # fmt: skip


_ADAPTIVE = (0.03, 0.1, 0.3, 1.0)
_FEDAVG = (FedAvg(),)
_SMALL = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CASES: dict[str, Case] = {
    "fedavgm": Case(
        "badly conditioned, few rounds", ill_conditioned,
        _ways(12, 1, (FedAvgM(),)), _ways(12, 1, _FEDAVG), Dense,
    ),
    "fedadam": Case(
        "sparse features, rare to common", sparse,
        _ways(12, 1, [FedAdam(server_rate=r) for r in _ADAPTIVE], (0.1, 1.0)),
        _ways(12, 1, _FEDAVG, (*_RATES, 10.0)), Dense,
    ),
    "fedyogi": Case(
        "sparse features, rare to common", sparse,
        _ways(12, 1, [FedYogi(server_rate=r) for r in _ADAPTIVE], (0.1, 1.0)),
        _ways(12, 1, _FEDAVG, (*_RATES, 10.0)), Dense,
    ),
    "fedprox": Case(
        "sites disagree, 20 local epochs", drifting,
        _ways(8, 20, [FedProx(mu=m) for m in (0.01, 0.1, 0.3, 1.0)], _SMALL, share=0.5),
        _ways(8, 20, _FEDAVG, _SMALL, share=0.5), Dense,
    ),
    "scaffold": Case(
        "sites disagree, 20 local epochs", drifting,
        _ways(8, 20, (Scaffold(),), _SMALL, weights="equal"),
        _ways(8, 20, _FEDAVG, _SMALL, weights="equal"), Dense,
    ),
    "fedbn": Case(
        "features shifted site by site", shifted_features,
        _ways(15, 2, _FEDAVG, (0.003, 0.01, 0.03), "adamw", own=("branch.tail.1.",)),
        _ways(15, 2, _FEDAVG, (0.003, 0.01, 0.03), "adamw"), Normed,
    ),
    "head: local": Case(
        "other shares of the classes at each site", shifted_labels,
        _ways(15, 2, _FEDAVG, _RATES, own=("head.",)), _ways(15, 2, _FEDAVG, _RATES),
        partial(Dense, hidden=16),
    ),
    "weights: examples": Case(
        "same problem, sizes 6 to 400 (beside: equal)", unequal,
        _ways(12, 3, _FEDAVG), _ways(12, 3, _FEDAVG, weights="equal"), Dense,
    ),
    "weights: equal": Case(
        "one large site is another problem (beside: examples)", outvoted,
        _ways(12, 1, _FEDAVG, weights="equal"), _ways(12, 1, _FEDAVG), Dense,
    ),
    "participation: 0.25": Case(
        "40 sites; as many replies in all (beside: all sites)", many,
        _ways(20, 1, _FEDAVG, share=0.25), _ways(5, 1, _FEDAVG), Dense,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A case's figures: of the method and of FedAvg, seed by seed."""

    chosen: tuple[Way, Way]
    favoured: list[Score]
    plain: list[Score]

    @property
    def no_worse(self) -> int:
        """In how many seeds the method's loss is no higher, half a percent allowed."""
        pairs = zip(self.favoured, self.plain, strict=True)
        return sum(ours.loss <= 1.005 * theirs.loss for ours, theirs in pairs)


def compared(case: Case, seeds: int) -> Outcome:
    """Choose both ways' settings on seed 0, and run them on the seeds after it."""

    def best(ways: Sequence[Way]) -> Way:
        losses = [run(case, way, 0).loss for way in ways]
        return ways[int(np.nanargmin(losses))]

    chosen = best(case.favoured), best(case.plain)
    favoured, plain = ([run(case, way, seed) for seed in range(1, seeds + 1)] for way in chosen)
    return Outcome(chosen, favoured, plain)


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    wanted = parser.parse_args()
    print("method               loss  accuracy   beside: loss  accuracy   no worse   seconds  case")
    for name in wanted.only:
        start = time.process_time()
        found = compared(CASES[name], wanted.seeds)
        means = [
            np.mean([(score.loss, score.accuracy) for score in scores], axis=0)
            for scores in (found.favoured, found.plain)
        ]
        print(
            f"{name:<19} {means[0][0]:>5.3f}  {means[0][1]:>8.3f}  {means[1][0]:>13.3f}  "
            f"{means[1][1]:>8.3f}  {found.no_worse:>4} of {wanted.seeds}  "
            f"{time.process_time() - start:>8.1f}  {CASES[name].why}; "
            f"{found.chosen[0].told} (beside: {found.chosen[1].told})",
            flush=True,
        )


if __name__ == "__main__":
    main()
