"""What the coordinator makes of the sites' mean update: one function and one line for each method.

A step sees one array at a time. It is a pure function: what it must remember from round to round,
it returns, and gets back in the next round of the same kind of training. The checkpoint holds it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.parts import Arrays
from common.study.methods import FedAdam, FedAvg, FedAvgM, FedProx, FedYogi, Method, Scaffold

Values = NDArray[np.float64]
Memory = Mapping[str, Values]
"""What a step remembers of one array, each of the array's shape; empty before the first round."""
Step = Callable[[Any, Values, Memory], tuple[Values, Memory]]
"""From the settings, the mean update and the memory: what is added to the model, and the memory."""


def fedavg(settings: FedAvg | FedProx, mean: Values, memory: Memory) -> tuple[Values, Memory]:
    """Add the mean (McMahan et al. 2017, algorithm 1)."""
    return mean, memory


def scaffold(settings: Scaffold, mean: Values, memory: Memory) -> tuple[Values, Memory]:
    """Add the mean, times the global step size (Karimireddy et al. 2020, eq. 5).

    The control variate, the other half of that equation, is in `server.variates`.
    """
    return settings.server_rate * mean, memory


def fedavgm(settings: FedAvgM, mean: Values, memory: Memory) -> tuple[Values, Memory]:
    """Add up a momentum, and add it (Hsu et al. 2019, section 4.3).

    v <- beta v + dw; w <- w - v, where dw is the sites' mean of old minus new: here of new minus
    old, so that both signs turn.
    """
    momentum = settings.momentum * memory.get("momentum", 0.0) + mean
    return settings.server_rate * momentum, {"momentum": momentum}


def fedadam(settings: FedAdam, mean: Values, memory: Memory) -> tuple[Values, Memory]:
    """Step as Adam does, without correction of its bias (Reddi et al. 2021, algorithm 2)."""
    before = memory.get("square", np.full_like(mean, settings.tau**2))
    square = settings.beta2 * before + (1 - settings.beta2) * mean**2
    return _adaptive(settings, mean, memory, square)


def fedyogi(settings: FedYogi, mean: Values, memory: Memory) -> tuple[Values, Memory]:
    """Step as Yogi does, whose squares grow and shrink evenly (Reddi et al. 2021, algorithm 2)."""
    before = memory.get("square", np.full_like(mean, settings.tau**2))
    square = before - (1 - settings.beta2) * mean**2 * np.sign(before - mean**2)
    return _adaptive(settings, mean, memory, square)


def _adaptive(
    settings: FedAdam | FedYogi, mean: Values, memory: Memory, square: Values
) -> tuple[Values, Memory]:
    """Add eta m / (sqrt(v) + tau), where m <- beta1 m + (1 - beta1) Delta (the same)."""
    momentum = settings.beta1 * memory.get("momentum", 0.0) + (1 - settings.beta1) * mean
    change = settings.server_rate * momentum / (np.sqrt(square) + settings.tau)
    return change, {"momentum": momentum, "square": square}


STEPS: dict[type[Any], Step] = {
    FedAvg: fedavg,
    FedProx: fedavg,
    FedAvgM: fedavgm,
    FedAdam: fedadam,
    FedYogi: fedyogi,
    Scaffold: scaffold,
}


def step(
    method: Method, mean: Mapping[str, Values], memory: Arrays
) -> tuple[dict[str, Values], dict[str, Values]]:
    """Take one step of a method, array by array.

    Args:
        method: the phase's.
        mean: of the sites' updates, by name.
        memory: as this returned it in the round before, `NAME/WHAT`; empty in the first.

    Returns:
        What is added to the model, by name; and the memory, float64.
    """
    change: dict[str, Values] = {}
    remembered: dict[str, Values] = {}
    for name, values in mean.items():
        prefix = f"{name}/"
        own = {k.removeprefix(prefix): a for k, a in memory.items() if _belongs(k, prefix)}
        change[name], kept = STEPS[type(method)](method, values, own)
        remembered |= {prefix + what: array for what, array in kept.items()}
    return change, remembered


def _belongs(key: str, prefix: str) -> bool:
    return key.startswith(prefix) and "/" not in key.removeprefix(prefix)
