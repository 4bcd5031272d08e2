"""What a site adds to its gradient before a step: FedProx's pull, a clip, SCAFFOLD's variates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.study.methods import FedProx
from common.study.schedule import Schedule

Arrays = Mapping[str, NDArray[Any]]
Steering = Mapping[nn.Parameter, Tensor]
"""What is added to the gradient of each parameter: SCAFFOLD's c - c_i."""
Correct = Callable[[], None]


def optimizer_of(
    parameters: Sequence[nn.Parameter], schedule: Schedule
) -> torch.optim.AdamW | torch.optim.SGD:
    """Return the schedule's optimiser. SGD's decay is added with the gradient, before the clip."""
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=schedule.learning_rate)
    return torch.optim.AdamW(
        parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )


def correction(
    parameters: Sequence[nn.Parameter], schedule: Schedule, steering: Steering
) -> Correct:
    """Return what corrects the parameters' gradients, to be called between backward and step.

    In this order:

    * FedProx (Li et al. 2020, eq. 2): the objective is F_k(w) + mu/2 ||w - w_t||^2, where w_t are
      the values that the parameters have now, so mu (w - w_t) is added to the gradient.
    * with SGD, decay times w is added, and the sum is shortened to the clip.
    * SCAFFOLD (Karimireddy et al. 2020, eq. 3): y <- y - rate (g(y) - c_i + c).
    """
    mu = schedule.method.mu if isinstance(schedule.method, FedProx) else 0.0
    anchors = [p.detach().clone() for p in parameters] if mu else []
    steering = {p: added.to(p.device) for p, added in steering.items()}

    @torch.no_grad()
    def correct() -> None:
        for parameter, anchor in zip(parameters, anchors, strict=False):
            _gradient(parameter).add_(parameter - anchor, alpha=mu)
        if schedule.optimizer == "sgd":
            for parameter in parameters:
                _gradient(parameter).add_(parameter, alpha=schedule.weight_decay)
            nn.utils.clip_grad_norm_(parameters, schedule.clip)
        for parameter, added in steering.items():
            _gradient(parameter).add_(added)

    return correct


def next_variate(
    own: Arrays, shared: Arrays, new: Arrays, old: Arrays, schedule: Schedule, images: int
) -> dict[str, NDArray[np.float32]]:
    """Return a site's control variate after a round of training (Karimireddy et al. 2020, eq. 4).

    Option II: c_i <- c_i - c + (x - y_i) / (K rate), the mean of the gradients of the K steps.

    Args:
        own: c_i, float32, by name.
        shared: c.
        new: y_i, the model after training.
        old: x, the model that came down.
        schedule: of the round.
        images: the site's training images.
    """
    reach = schedule.steps(images) * schedule.learning_rate
    return {
        name: np.asarray(own[name] - c + (old[name] - new[name]) / np.float32(reach), np.float32)
        for name, c in shared.items()
    }


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise TypeError("a trained parameter takes part in the loss")
    return parameter.grad
