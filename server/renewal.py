"""The model after a round: the step that the sites' mean asks for, taken whole or coded."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.parts import Arrays, by_part, flattened
from common.updates.coding import fed_back
from common.updates.differences import apply
from server.checkpoints import CodedStep
from server.conduct import Conduct

OWED = "owed"
"""The part of the state that holds what coding has left out of the steps so far."""


def renew(conduct: Conduct, held: Arrays, moved: Mapping[str, NDArray[np.float64]]) -> None:
    """Move parts of the model on: w <- w + moved.

    Where the study compresses what comes down, w <- w + D(C(moved + e)), and e is what that leaves
    out (error feedback at the coordinator: Tang et al. 2019, Algorithm 1). The model itself moves
    by what is read from the code: a site that takes the same step from the same model has the same
    bits, and so have checkpoints and release.

    Args:
        conduct: the run; it holds the new parts afterwards.
        held: the parts before, under `part/name`.
        moved: the step; the same names and shapes.
    """
    if conduct.study.compression.down == "none":
        for part, arrays in by_part(apply(held, moved)).items():
            conduct.hold(part, {**conduct.parts[part].arrays, **arrays})
        return
    owed = conduct.parts[OWED].arrays if OWED in conduct.parts else {}
    before, carried = by_part(held), by_part(owed)
    left = {}
    for part, change in by_part(moved).items():
        coded, read, left[part] = fed_back(change, carried.get(part, {}), "int8", share=1.0)
        after = apply(before[part], read)
        conduct.hold(part, after, CodedStep(conduct.parts[part].digest, coded))
    conduct.hold(OWED, flattened(left))
