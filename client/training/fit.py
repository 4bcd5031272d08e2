"""Local training: heads, tails and the fusion block, each from cached activations."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.pulse import Pulse, no_pulse
from client.site_config import Numerics
from client.training.balance import balanced_draw, class_weights
from client.training.mixing import Blend
from client.training.numerics import autocast, laid_out, placed
from client.training.steering import Correct, Steering, correction, optimizer_of
from common.model.network import Branch
from common.study.schedule import Schedule

Draw = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[Any]]
_UNSTEERED: Steering = {}


def fit_dense(
    parameters: Sequence[nn.Parameter],
    forward: Callable[[Tensor], Tensor],
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    schedule: Schedule,
    generator: np.random.Generator,
    pulse: Pulse = no_pulse,
    steering: Steering = _UNSTEERED,
) -> float:
    """Train dense layers on features that are already computed.

    Args:
        parameters: what is trained, in place and where it is.
        forward: maps features float32 (n, width) to logits (n, classes).
        features: float32 (images, views, width); each pass draws one view of every image.
        labels: int64 (images,).
        schedule: epochs, batch size, rate, optimiser, method.
        generator: orders the images and draws the views.
        pulse: called before every batch.
        steering: SCAFFOLD's, of each parameter.

    Returns:
        Loss in nats, weighted, smoothed and mixed as the schedule says, summed over the images of
        the last pass.
    """
    optimizer = optimizer_of(parameters, schedule)
    correct = correction(parameters, schedule, steering)
    weights = _weights(labels, schedule)
    loss_sum = 0.0
    for epoch in _epochs(labels, features.shape[1], schedule, generator):
        loss_sum = 0.0
        for images, views in epoch:
            pulse()
            blend = Blend.drawn(schedule, len(images), generator)
            rows = torch.from_numpy(_mixed(features[images, views], blend))
            logits = forward(rows.to(parameters[0].device))
            loss = _loss(logits, labels[images], schedule, _of(weights, images), blend)
            loss_sum += _step(optimizer, loss, correct) * len(images)
    return loss_sum


def fit_tail(
    branch: Branch,
    draw: Draw,
    views: int,
    labels: NDArray[np.int64],
    schedule: Schedule,
    generator: np.random.Generator,
    numerics: Numerics,
    pulse: Pulse = no_pulse,
    steering: Steering = _UNSTEERED,
) -> float:
    """Train the tail and the head of one backbone in place, from the front's activations.

    Args:
        branch: its tail's trained parameters and its head are updated.
        draw: returns the activations float16 (n, channels, height, width) of images and views,
            both int64 (n,).
        views: how many views each image has.
        labels: int64 (images,).
        schedule: epochs, batch size, rate, optimiser, method.
        generator: orders the images and draws the views.
        numerics: device, precision and layout of this machine.
        pulse: called before every batch.
        steering: SCAFFOLD's, of each parameter.

    Returns:
        Loss in nats, weighted, smoothed and mixed as the schedule says, summed over the images of
        the last pass.
    """
    trained = [p for p in (*branch.tail.parameters(), *branch.head.parameters()) if p.requires_grad]
    weights = _weights(labels, schedule)
    loss_sum = 0.0
    with placed(numerics, branch.tail, branch.standardised, branch.head):
        optimizer = optimizer_of(trained, schedule)
        correct = correction(trained, schedule, steering)
        for epoch in _epochs(labels, views, schedule, generator):
            loss_sum = 0.0
            for images, drawn in epoch:
                pulse()
                found = draw(images, drawn)
                blend = Blend.drawn(schedule, len(images), generator, found.shape[2:])
                found = _mixed(found, blend)
                activations = laid_out(torch.from_numpy(found), numerics)
                with autocast(numerics):
                    features = branch.tail(activations)
                logits = branch.logits(features.float())
                loss = _loss(logits, labels[images], schedule, _of(weights, images), blend)
                loss_sum += _step(optimizer, loss, correct) * len(images)
    return loss_sum


def _weights(labels: NDArray[np.int64], schedule: Schedule) -> Tensor | None:
    if schedule.balance != "weights":
        return None
    return torch.from_numpy(class_weights(labels)).float()


def _of(weights: Tensor | None, images: NDArray[np.int64]) -> Tensor | None:
    return None if weights is None else weights[torch.from_numpy(images)]


def _mixed(batch: NDArray[Any], blend: Blend | None) -> NDArray[Any]:
    return batch if blend is None else blend.inputs(batch)


def _loss(
    logits: Tensor,
    labels: NDArray[np.int64],
    schedule: Schedule,
    weights: Tensor | None,
    blend: Blend | None,
) -> Tensor:
    """Return the batch's mean cross-entropy, of weighted images, smoothed and mixed labels."""
    if blend is None:
        return _entropy(logits, labels, schedule, weights)
    others = None if weights is None else weights[torch.from_numpy(blend.others)]
    own = _entropy(logits, labels, schedule, weights)
    other = _entropy(logits, labels[blend.others], schedule, others)
    return blend.share * own + (1 - blend.share) * other


def _entropy(
    logits: Tensor, labels: NDArray[np.int64], schedule: Schedule, weights: Tensor | None
) -> Tensor:
    truth, smoothing = torch.from_numpy(labels).to(logits.device), schedule.label_smoothing
    if weights is None:
        return nn.functional.cross_entropy(logits, truth, label_smoothing=smoothing)
    # The mean over images, not over weights as torch takes it: sums of batches then add.
    each = nn.functional.cross_entropy(logits, truth, reduction="none", label_smoothing=smoothing)
    return (weights.to(each.device) * each).mean()


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, correct: Correct) -> float:
    """Take one step down a batch's loss, and return it."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    correct()
    optimizer.step()
    return float(loss.detach())


Batch = tuple[NDArray[np.int64], NDArray[np.int64]]


def _epochs(
    labels: NDArray[np.int64], views: int, schedule: Schedule, generator: np.random.Generator
) -> Iterator[list[Batch]]:
    """Yield, epoch by epoch, batches of image numbers with a drawn view for each."""
    images = len(labels)
    for _ in range(schedule.epochs):
        if schedule.balance == "augmentation":
            order, drawn = balanced_draw(labels, views, generator)
        else:
            order = generator.permutation(images)
            drawn = generator.integers(views, size=images)[order]
        batches = schedule.batches(images)
        yield list(
            zip(np.array_split(order, batches), np.array_split(drawn, batches), strict=True)
        )  # parts of nearly equal size: no batch of one image
