"""The mean of the models of a phase's last rounds, with which the phase ends.

The coordinator holds the last model alone, and how far it is from the mean of them all: `lag`.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.asks import Stage
from common.parts import Arrays
from common.study.schedule import averaged_before, phase_of
from common.study.schema import Study

Values = NDArray[np.float64]
_LAG = "lag"


def averaged(
    study: Study, stage: Stage, number: int, change: Mapping[str, Values], memory: Arrays
) -> tuple[dict[str, Values], dict[str, Values]]:
    """Add a round's model to the mean; in the phase's last round, step to the mean.

    With the mean m of n models, the model w and its lag l = w - m, a change d makes w' = w + d and
    m' = k m + (1 - k) w', so l' = k (l + d), where k = n / (n + 1) in the plain mean (Izmailov et
    al. 2018, algorithm 1) and the decay in a moving one.

    Args:
        study: its phase says what is averaged.
        stage: what is trained.
        number: the round of its phase, from 1.
        change: what the method adds to the model, float64, by name.
        memory: what is remembered of each array, `NAME/WHAT`.

    Returns:
        What is added to the model instead, and what is remembered of the mean, `NAME/lag`.
    """
    before = averaged_before(study, stage, number)
    if before is None:
        return dict(change), {}
    decay = phase_of(study, stage).averaging.decay
    share = before / (before + 1) if decay is None or before == 0 else decay
    lag = {name: share * (memory.get(f"{name}/{_LAG}", 0.0) + d) for name, d in change.items()}
    if averaged_before(study, stage, number + 1) is None:
        return {name: d - lag[name] for name, d in change.items()}, {}
    return dict(change), {f"{name}/{_LAG}": values for name, values in lag.items()}
