"""Every federated method on a case made to favour it, beside FedAvg at its own best rate.

    python benchmarks/methods.py [--seeds 5] [--only fedavgm scaffold ...]

No images: small models are trained on generated features, through the functions that sites and
coordinator run (`simulations.small_models`). On a seed that does not count, the method and FedAvg
are each given the best of their rates. Told are the means over the other seeds of loss and accuracy
on all sites' test rows, and in how many seeds the method's loss was no higher, half a percent
allowed.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
)
from common.study.schedule import Schedule
from simulations.small_models import Data, Dense, Labels, Normed, Score, Way, run

torch.set_num_threads(1)


@dataclass(frozen=True)
class Case:
    """A federated problem, and what is compared on it."""

    why: str
    make: Callable[[np.random.Generator], Sequence[Data]]
    favoured: Sequence[Way]
    plain: Sequence[Way]
    build: Callable[[int, int], nn.Module]


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
    """Give rows few features that are not zero: the rare ones are small, and tell as much."""
    often, scale = 0.5 / np.arange(1, 61) ** 0.9, np.geomspace(2.0, 0.5, 60)
    truth = 3 * chance.normal(size=(60, 3)) / scale[:, None]
    return [
        _sampled(chance, (chance.random((600, 60)) < often) * scale, truth, 400) for _ in range(6)
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
    sizes = (400, 200, *(5 for _ in range(10)))
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
_LARGE = (0.3, 1.0, 3.0, 10.0, 30.0)
_ADAM = (0.0003, 0.001, 0.003, 0.01)
_SMALL = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CASES: dict[str, Case] = {
    "fedavgm": Case(
        "badly conditioned, few rounds", ill_conditioned,
        _ways(12, 1, (FedAvgM(),), _LARGE), _ways(12, 1, _FEDAVG, _LARGE), Dense,
    ),
    "fedadam": Case(
        "sparse features of differing scale", sparse,
        _ways(12, 1, [FedAdam(server_rate=r) for r in _ADAPTIVE], _LARGE[:3]),
        _ways(12, 1, _FEDAVG, _LARGE), Dense,
    ),
    "fedyogi": Case(
        "sparse features of differing scale", sparse,
        _ways(12, 1, [FedYogi(server_rate=r) for r in _ADAPTIVE], _LARGE[:3]),
        _ways(12, 1, _FEDAVG, _LARGE), Dense,
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
        _ways(15, 2, _FEDAVG, _ADAM, "adamw", own=("branch.tail.1.",)),
        _ways(15, 2, _FEDAVG, _ADAM, "adamw"), Normed,
    ),
    "head: local": Case(
        "other shares of the classes at each site", shifted_labels,
        _ways(15, 2, _FEDAVG, _RATES, own=("head.",)), _ways(15, 2, _FEDAVG, _RATES),
        partial(Dense, hidden=16),
    ),
    "weights: examples": Case(
        "same problem, sizes 5 to 400 (beside: equal)", unequal,
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


def _run(case: Case, way: Way, seed: int) -> Score:
    return run(case.make(stream(seed, "case")), case.build, way, seed)


def _told(way: Way) -> str:
    """Say what was chosen: the sites' rate, and the method's own settings."""
    settings = way.schedule.method.model_dump(exclude={"name"})
    chosen = [f"{name} {value:g}" for name, value in settings.items() if name in _TUNED]
    return ", ".join([f"rate {way.schedule.learning_rate:g}", *chosen])


def compared(case: Case, seeds: int) -> Outcome:
    """Choose both ways' settings on seed 0, and run them on the seeds after it."""

    def best(ways: Sequence[Way]) -> Way:
        losses = [_run(case, way, 0).loss for way in ways]
        return ways[int(np.nanargmin(losses))]

    chosen = best(case.favoured), best(case.plain)
    favoured, plain = ([_run(case, way, seed) for seed in range(1, seeds + 1)] for way in chosen)
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
            f"{_told(found.chosen[0])} (beside: {_told(found.chosen[1])})",
            flush=True,
        )


if __name__ == "__main__":
    main()
