"""SCAFFOLD's control variates at a site: its own, kept from round to round, and the shared one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.own import OwnFiles
from client.training.steering import Steering, next_variate
from common.asks import FitAsk
from common.study.schedule import Schedule
from common.updates.differences import difference
from common.wire import Step

Arrays = Mapping[str, NDArray[Any]]


class Variates:
    """A site's variate c_i and the shared c in one round of training.

    c_i is the one of the round whose reply the coordinator counted last: a reply that was lost or
    refused moves neither c nor, in the next round, c_i. So c stays the mean of all c_i.

    Args:
        files: where the site keeps its variates.
        step: of the round.
        ask: says what is trained, and which round counted last; of none, c_i is zero.
        shared: c, float32, by `PART/NAME`.

    Raises:
        CorruptFile: the variate that counts is gone.
    """

    def __init__(self, files: OwnFiles, step: Step, ask: FitAsk, shared: Arrays) -> None:
        self._files = files
        self._step = step
        self._name = f"variate-{ask.stage}"
        self._counted = ask.counted.get(step.site)
        self.shared = shared
        self.own: Arrays = (
            {name: np.zeros_like(array) for name, array in shared.items()}
            if self._counted is None
            else files.load(step, self._name, self._counted)
        )

    def steering(self, named: Mapping[str, Tensor]) -> Steering:
        """Return c - c_i of these parameters, by `PART/NAME`; others have none."""
        return {
            parameter: torch.from_numpy(self.shared[name] - self.own[name])
            for name, parameter in named.items()
            if name in self.shared and isinstance(parameter, nn.Parameter)
        }

    def advance(
        self, new: Arrays, old: Arrays, schedule: Schedule, images: int
    ) -> dict[str, NDArray[np.float16]]:
        """Move c_i on, and keep it; return its change, which goes to the coordinator.

        What is kept has moved by just what is sent, rounding included.

        Args:
            new: the arrays after training.
            old: as they came down.
            schedule: of the round.
            images: the site's training images.
        """
        change = difference(
            next_variate(self.own, self.shared, new, old, schedule, images), self.own
        )
        own = {name: self.own[name] + change[name].astype(np.float32) for name in change}
        counted = () if self._counted is None else (self._counted,)
        self._files.keep(self._step, self._name, own, counted)
        return change
