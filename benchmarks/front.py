"""Images per second through the frozen fronts: precision, layout, compiled or not, batch size.

A front is passed once per image and view, and is most of what new images cost. Ways take turns,
batch by batch, in one process; medians. Memory stays with the process from pass to pass, as at a
site, but where it is `given back` as the C library does by itself. `compiled` is torch.compile with
frozen weights, which folds BatchNorm into the convolutions: its activations differ in their last
digits, and a compiler and a minute are needed, so no site uses it. How much it can save at most is
told by the shares of torch's operations in a pass of the site's own way. Distances between
activations stand below: 0 says that two ways give the same bits.

    python -m benchmarks.front

Weights are random, which cost the same; `--weights DIR` takes ImageNet's.
"""

import argparse
import copy
import statistics
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.clock import Lap
from benchmarks.ledger import Figure, enter, parser
from client.site_config import Numerics
from client.training.memory import kept_memory
from client.training.numerics import autocast, laid_out
from common.model.initial import build_branches
from common.study.schema import Study
from simulations.scenario import load_scenario

BATCH = 16  # of the site's own extractor
_KINDS = ("convolution", "batch_norm", "pool", "clamp_min", "copy_")


@dataclass(frozen=True)
class Way:
    """How a front is passed."""

    front: Callable[[Tensor], Tensor]
    numerics: Numerics
    images: int = BATCH
    kept: bool = True  # memory, as at a site


def main() -> None:
    """Print images per second for every backbone and way."""
    made = parser(__doc__)
    made.add_argument("--scenario", default="taleqani-3-sites", help="whose study is taken")
    made.add_argument("--weights", type=Path, help="folder of ImageNet weights")
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument("--no-compile", action="store_true")
    asked = made.parse_args()
    study = load_scenario(asked.scenario)[1]
    kind = "imagenet" if asked.weights else "random"
    network = study.network.model_copy(update={"weights": kind})
    study = study.model_copy(update={"network": network})
    figures = []
    for branch in build_branches(study, asked.weights):
        ways = _ways(branch.front, asked)
        figures += _figures(branch.architecture, ways, study, asked.repeats)
        figures += _operations(branch.architecture, ways["bfloat16 channels_last"], study)
    enter(asked, figures)


def _ways(front: nn.Module, asked: argparse.Namespace) -> dict[str, Way]:
    threads = torch.get_num_threads()
    plain, best = (
        Numerics(precision=precision, channels_last=last, threads=threads)
        for precision, last in (("float32", False), ("bfloat16", True))
    )
    ways = {
        "float32": Way(front, plain),
        "float32 channels_last": Way(front, plain.model_copy(update={"channels_last": True})),
        "bfloat16": Way(front, best.model_copy(update={"channels_last": False})),
        "bfloat16 channels_last": Way(front, best),
        "bfloat16 channels_last, memory given back": Way(front, best, kept=False),
        "bfloat16 channels_last, batches of 8": Way(front, best, 8),
        "bfloat16 channels_last, batches of 32": Way(front, best, 32),
    }
    if not asked.no_compile:
        compiled = torch.compile(copy.deepcopy(front), options={"freezing": True})
        ways["bfloat16 channels_last, compiled"] = Way(compiled, best)
    return ways


def _figures(name: str, ways: dict[str, Way], study: Study, repeats: int) -> list[Figure]:
    size = study.imaging.size
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(32, 3, size, size, generator=generator) * 2 - 1
    spent: dict[str, list[float]] = {way: [] for way in ways}
    found: dict[str, Tensor] = {}
    for number in range(repeats + 1):  # the first pass pays for memory, kernels and compiling
        for what, way in ways.items():
            seconds, found[what] = _passed(way, pixels)
            if number:
                spent[what].append(seconds / way.images)
    rates = {what: 1 / statistics.median(some) for what, some in spent.items()}
    figures = [
        Figure(name=f"{name}, {what}", value=rate, unit="images/s") for what, rate in rates.items()
    ]
    own = "bfloat16 channels_last"
    pairs = [(own, "float32"), *((what, own) for what in found if what.startswith(f"{own}, "))]
    figures += [
        Figure(name=f"{name}, {what}: distance from {other}",
               unit="relative", value=_apart(found[what], found[other]))
        for what, other in pairs
    ]  # fmt: skip
    return figures


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _operations(name: str, way: Way, study: Study) -> list[Figure]:
    """Tell which operations of torch a pass spends its time in."""
    size = study.imaging.size
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        _passed(way, torch.zeros(way.images, 3, size, size))
    spent: Counter[str] = Counter()
    for event in seen.key_averages():
        kind = next((what for what in _KINDS if what in event.key), "the rest")
        spent[kind] += event.self_cpu_time_total
    return [
        Figure(name=f"{name}, of a pass: {kind}", value=100 * part / spent.total(), unit="%")
        for kind, part in spent.most_common()
    ]


def _passed(way: Way, pixels: Tensor) -> tuple[float, Tensor]:
    """Return seconds of a batch, and the activations of the first images, float32."""
    batch = laid_out(pixels[: way.images], way.numerics)
    memory = kept_memory() if way.kept else nullcontext()
    with memory, torch.inference_mode(), autocast(way.numerics):
        way.front(batch)  # finds the memory that the next pass uses again
        with Lap() as lap:
            found = way.front(batch)
    return lap.spent.wall_s, found[:8].float()


if __name__ == "__main__":
    main()
