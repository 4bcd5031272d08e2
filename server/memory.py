"""What a method remembers between the rounds of one stage of training, kept in the checkpoint."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.asks import CONTROL, FitAsk, Stage
from common.parts import Arrays
from common.study.schedule import needed_parts
from server.conduct import Conduct
from server.variates import ControlVariate

_PART = "memory"  # never sent


class Memory:
    """The memory of a stage; another stage, which trains other arrays, begins with none.

    Args:
        conduct: the run; the memory is among its parts and facts.
        stage: what is trained.
        held: the arrays that are trained, by `PART/NAME`.
    """

    def __init__(self, conduct: Conduct, stage: Stage, held: Arrays) -> None:
        self._conduct = conduct
        facts = conduct.facts.get("method", {})
        self._stage = stage
        if facts.get("stage") != stage:
            facts = {}
            for name in (_PART, CONTROL):
                conduct.parts.pop(name, None)
        self.arrays: Arrays = conduct.parts[_PART].arrays if _PART in conduct.parts else {}
        self.counted: dict[str, int] = {}
        self.control: ControlVariate | None = None
        if CONTROL in needed_parts(conduct.study, FitAsk(stage=stage)):
            # Sites keep their variates by the name of the run. A run that fell back behind a
            # damaged checkpoint has another one: there all variates begin again, at zero.
            if facts.get("run") != conduct.rounds.run:
                zeros = {name: np.zeros(a.shape, np.float32) for name, a in held.items()}
                conduct.hold(CONTROL, zeros)
            else:
                self.counted = dict(facts["counted"])
            self.control = ControlVariate(conduct.parts[CONTROL].arrays, len(conduct.cohort))

    def keep(self, arrays: dict[str, NDArray[Any]], number: int, sites: Sequence[str]) -> None:
        """Keep what a round leaves: the method's arrays, and whose variates moved in it."""
        if arrays:
            self._conduct.hold(_PART, arrays)
        if self.control is not None:
            self._conduct.hold(CONTROL, self.control.moved())
            self.counted |= dict.fromkeys(sites, number)
        if arrays or self.control is not None:
            self._conduct.facts["method"] = {
                "stage": self._stage, "run": self._conduct.rounds.run, "counted": self.counted,
            }  # fmt: skip
