"""The ways of training both backbones that `site_epoch.py` compares: ours, and plain loops."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from benchmarks.clock import Lap
from client.activations import Extractor
from client.data.manifest import Example
from client.site_config import Numerics
from client.training.fit import fit_dense, fit_tail
from client.training.numerics import autocast, laid_out
from common.imaging.decode import decode
from common.imaging.pipeline import prepare, to_model_input
from common.model.initial import build_branches
from common.model.network import Branch, load_branches
from common.seeds import stream
from common.study.network import Backbone
from common.study.phases import BackbonesPhase
from common.study.schedule import Schedule, falling_rate, schedule_of
from common.study.schema import Study
from common.updates.moments import moment_sums, moments

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Way:
    """A way to train: `epochs` does one at a time; `predict` tells classes at any time."""

    epochs: Iterator[None]
    predict: Callable[[], Probabilities]


@dataclass(frozen=True)
class Task:
    """What all ways have to do."""

    study: Study
    weights: Path | None
    train: Sequence[Example]
    test: Sequence[Example]

    @property
    def phase(self) -> BackbonesPhase:
        """The study's settings of the phase."""
        return self.study.phase(BackbonesPhase)

    @property
    def schedules(self) -> list[Schedule]:
        """One for each tail round."""
        first = self.phase.head_rounds + 1
        return [schedule_of(self.study, "tails", first + n) for n in range(self.phase.tail_rounds)]

    @property
    def loop_schedules(self) -> list[Schedule]:
        """One for each epoch of a plain loop, which trains as many as the phase, heads included.

        Its rate falls as that of the tails does, over all its epochs.
        """
        phase = self.phase
        epochs = phase.head_rounds * phase.head_epochs + phase.tail_rounds * phase.tail_epochs
        return [
            replace(
                self.schedules[0],
                epochs=1,
                learning_rate=falling_rate(phase.learning_rate, phase.final_rate, n, epochs),
            )
            for n in range(1, epochs + 1)
        ]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of the training images."""
        return np.array([example.label for example in self.train])


def from_cache(task: Task, extractor: Extractor, stages: dict[str, Lap]) -> Way:
    """Do what a site does in the phase; all that comes before the tails falls into epoch one.

    Args:
        task: what is to be done.
        extractor: with the branches that are trained, and an empty cache.
        stages: takes the seconds of each stage.
    """

    def stage(name: str) -> Lap:
        return stages.setdefault(name, Lap())

    def epochs() -> Iterator[None]:
        for name, work in (("cache", _cached), ("heads", _heads)):
            with stage(name):
                work(task, extractor)
        generators = [stream(1, "benchmark", branch.architecture) for branch in extractor.branches]
        for schedule in task.schedules:
            with stage("tails"):
                for number, branch in enumerate(extractor.branches):
                    fit_tail(
                        branch, partial(extractor.draw, number, task.train), task.phase.views,
                        task.labels, schedule, generators[number], extractor.numerics,
                    )  # fmt: skip
            yield

    def predict() -> Probabilities:
        with torch.inference_mode():
            logits = [
                branch.logits(torch.from_numpy(extractor.features_now(branch, task.test)))
                for branch in extractor.branches
            ]
        return _mean_of(logits)

    return Way(epochs(), predict)


def _cached(task: Task, extractor: Extractor) -> None:
    extractor.fill(task.train, task.phase.views)


def _heads(task: Task, extractor: Extractor) -> None:
    features, start = extractor.features(task.train, task.phase.views, "before"), 0
    for branch in extractor.branches:
        own = features[:, :, start : start + branch.width]
        start += branch.width
        found = moments(moment_sums(own[:, 0]), len(own))
        load_branches(
            [branch], {"moments": {f"{branch.architecture}/{n}": a for n, a in found.items()}}
        )
        generator = stream(1, "benchmark heads", branch.architecture)
        for number in range(1, task.phase.head_rounds + 1):
            schedule = schedule_of(task.study, "heads", number)
            fit_dense(
                list(branch.head.parameters()), branch.logits, own, task.labels, schedule, generator
            )


def plain_loop(task: Task, numerics: Numerics) -> Way:
    """Fine-tune both whole models, as a plain loop does; BatchNorm is frozen as in ours."""
    models = [_model(task, backbone, numerics) for backbone in task.study.network.backbones]

    def epochs() -> Iterator[None]:
        images, generator = _prepared(task.train, task.study), stream(1, "benchmark")
        optimizers = [torch.optim.AdamW(model.parameters()) for model in models]
        for schedule in task.loop_schedules:
            for model, optimizer in zip(models, optimizers, strict=True):
                optimizer.param_groups[0]["lr"] = schedule.learning_rate
                optimizer.param_groups[0]["weight_decay"] = schedule.weight_decay
                order = generator.permutation(len(images))
                for batch in np.array_split(order, schedule.batches(len(images))):
                    logits = _logits(model, images[batch], numerics)
                    _step(optimizer, logits, task.labels[batch])
            yield

    def predict() -> Probabilities:
        images = _prepared(task.test, task.study)
        with torch.inference_mode():
            logits = [
                torch.cat(
                    [_logits(model, some, numerics) for some in np.array_split(images, parts)]
                )
                for model in models
                for parts in [max(1, len(images) // 16)]
            ]
        return _mean_of(logits)

    return Way(epochs(), predict)


def _step(
    optimizer: torch.optim.Optimizer, logits: torch.Tensor, labels: NDArray[np.int64]
) -> None:
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _model(task: Task, backbone: Backbone, numerics: Numerics) -> nn.Module:
    """Build a whole model with a head of zeros, as ours begins."""
    layout = torch.channels_last if numerics.channels_last else torch.contiguous_format
    branch = _branch_of(task, backbone)
    head = nn.Linear(branch.width, len(task.study.labels.classes))
    model = nn.Sequential(branch.front, branch.tail, head).requires_grad_(True)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return model.eval().to(memory_format=layout)


def _branch_of(task: Task, backbone: Backbone) -> Branch:
    network = task.study.network.model_copy(update={"backbones": (backbone,)})
    return build_branches(task.study.model_copy(update={"network": network}), task.weights)[0]


def _logits(model: nn.Module, images: NDArray[np.uint8], numerics: Numerics) -> torch.Tensor:
    pixels = laid_out(torch.from_numpy(to_model_input(images)), numerics)
    with autocast(numerics):
        logits: torch.Tensor = model(pixels)
    return logits.float()


def _prepared(examples: Sequence[Example], study: Study) -> NDArray[np.uint8]:
    return np.stack([prepare(decode(e.image.read_bytes()), study.imaging) for e in examples])


def _mean_of(logits: Sequence[torch.Tensor]) -> Probabilities:
    mean: Probabilities = np.mean([softmax(x.double().numpy(), axis=1) for x in logits], axis=0)
    return mean
