"""Sums of gradient and hessian per bin, as whole numbers, and what a believable set of them is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.boosting.rules import Rules
from common.boosting.sampling import Plan
from common.errors import UpdateRejected

SCALE = 2.0**30
"""Fixed-point units in 1. A row adds at most 1 to a gradient and 1/2 to a hessian, so

* one site's partial sums are whole numbers up to 2^53, exact in float64, for 2^23 rows;
* the federation's sums fit into int64 for fewer than 2^33 rows, that is, below 1024 such sites;
* rounding moves a row's gradient by at most 2^-31, a 64th of what float32 rounding can do to a
  probability near 1. A leaf's weight moves by less than rows x 2^-31 / (H + lambda).
"""
MAX_SITE_ROWS = 1 << 23


def to_fixed(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Round to whole fixed-point units; float64, because `np.bincount` adds no integers."""
    return np.rint(values.astype(np.float64) * SCALE)


def from_fixed(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return sums in units of 1."""
    return sums.astype(np.float64) / SCALE


def sums_shape(rules: Rules, plan: Plan) -> tuple[int, int, int, int]:
    """Return the shape of a plan's sums: (entries, drawn, levels, 2); last: gradient, hessian."""
    return len(plan), rules.drawn, rules.levels, 2


def check_sums(site: str, sums: NDArray[Any], *, rules: Rules, plan: Plan, examples: int) -> None:
    """Refuse sums that no `examples` rows can have.

    Every feature sees the same rows, so within an entry all features' totals agree to the last bit.
    What passes can still be false; it cannot be absurd.

    Raises:
        UpdateRejected: another type or shape, out of bounds, or features that disagree.
    """
    shape = sums_shape(rules, plan)
    problem = ""
    if sums.dtype != np.int64 or sums.shape != shape:
        problem = f"sums are {sums.dtype} {sums.shape}, not int64 {shape}"
    elif not 1 <= examples <= MAX_SITE_ROWS:
        problem = f"{examples} examples; 1 to {MAX_SITE_ROWS} are possible"
    else:
        limit = examples * int(SCALE)
        gradient, hessian = sums[..., 0], sums[..., 1]
        totals = sums.sum(axis=2)
        # A hessian is 2 p (1 - p) of a float32 p, which rounding can put just above 1/2.
        if (hessian < 0).any() or (hessian > limit * 0.51).any():
            problem = f"a hessian is outside what {examples} examples can add up to"
        elif (gradient < -limit).any() or (gradient > limit).any():
            problem = f"a gradient is outside what {examples} examples can add up to"
        elif (totals != totals[:, :1]).any():
            problem = "the totals of a node differ between features"
    if problem:
        raise UpdateRejected(
            site, problem, fix="compare the leukofed versions; then look at the site's log"
        )
