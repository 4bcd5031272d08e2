"""What a comparison came to: `compare.json`."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from common.asks import Part
from common.figures import Interval, Number
from common.study.strict import Strict
from simulations.comparing.statistics import (
    FIGURES,
    Bootstrap,
    Counts,
    Measured,
    is_distinguishable,
    mean_of,
)


class Told(Strict):
    """A figure of an arm."""

    mean: Number
    """Mean over seeds of the figure of all folds' predictions together."""
    interval: Interval
    """95 % bootstrap interval over groups."""
    by_seed: tuple[Number, ...]
    """The figure of all folds' predictions together, by seed."""
    by_fold: tuple[tuple[Number, ...], ...]
    """By seed and fold."""
    mean_of_folds: Number
    """Mean over seeds and folds of the figure of each fold alone."""


class ArmAccount(Strict):
    """An arm."""

    macro_f1: Told
    """Mean F1 over the classes."""
    accuracy: Told
    """Share of right predictions."""
    softmax: dict[str, Told]
    """The same of the softmax head, where the arm has one beside its trees."""
    seconds: float
    """Mean over folds and seeds; 0 for a mean over other arms."""


class Contrast(Strict):
    """Two arms on the same images."""

    a: str
    """The one."""
    b: str
    """The other."""
    metric: str
    """macro_f1 or accuracy."""
    mean: Number
    """Of a minus that of b, mean over seeds."""
    interval: Interval
    """95 % bootstrap interval; both arms are resampled together."""
    distinguishable: bool
    """Whether the interval leaves 0 out."""


class Comparison(Strict):
    """All that was found."""

    name: str
    """Of the scenario."""
    synthetic: bool
    """Whether the images were generated."""
    part: Part
    """Of each fold, which the figures are of: test, or validation while settings are chosen."""
    folds: tuple[int, ...]
    """Numbers of the folds that were run, from 1."""
    of_folds: int
    """Folds of a division."""
    seeds: int
    """Seeds that everything was repeated with."""
    same_folds: bool
    """Whether all seeds share one division into folds."""
    images: int
    """Images that were predicted."""
    groups: int
    """Groups that they belong to."""
    kept_together: tuple[str, ...]
    """Columns of the manifest whose shared values make a group."""
    replicates: int
    """Of the bootstrap."""
    arms: dict[str, ArmAccount]
    """By name, in the order asked for."""
    differences: tuple[Contrast, ...]
    """Of every two arms."""
    settings: dict[str, dict[str, JsonValue]]
    """By variant: what differs from the study."""
    study: dict[str, JsonValue]
    """The study, every default filled in."""
    seconds: float
    """What all trials took together."""

    @property
    def reference(self) -> str:
        """The arm that the others are compared with: the first."""
        return next(iter(self.arms))

    def against_reference(self, arm: str, metric: str = "macro_f1") -> Contrast | None:
        """Return the reference minus an arm; None for the reference itself."""
        found = (
            d for d in self.differences if (d.a, d.b, d.metric) == (self.reference, arm, metric)
        )
        return next(found, None)


def measured_arms(
    counts: Mapping[str, Counts], bootstrap: Bootstrap, means: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, Measured]]:
    """Return every figure of every arm; a mean over arms stands before the first of them.

    Args:
        counts: by arm.
        bootstrap: of all.
        means: arms by the name of their mean.
    """
    own = {
        arm: {name: bootstrap.measured(one, figure) for name, figure in FIGURES.items()}
        for arm, one in counts.items()
    }
    before = {members[0]: mean for mean, members in means.items() if len(members) > 1}
    found: dict[str, dict[str, Measured]] = {}
    for arm, figures in own.items():
        if arm in before:
            members = [own[one] for one in means[before[arm]]]
            found[before[arm]] = {n: mean_of([m[n] for m in members]) for n in FIGURES}
        found[arm] = figures
    return found


def differences(arms: Mapping[str, Mapping[str, Measured]]) -> tuple[Contrast, ...]:
    """Compare every two arms, the one that was asked for first minus the other."""
    found = []
    for a, b in combinations(arms, 2):
        for metric in FIGURES:
            gain = arms[a][metric] - arms[b][metric]
            found.append(
                Contrast(
                    a=a, b=b, metric=metric, mean=gain.mean, interval=gain.interval,
                    distinguishable=is_distinguishable(gain.interval),
                )
            )  # fmt: skip
    return tuple(found)


def told(measured: Measured) -> Told:
    """Write a figure down."""
    return Told(
        mean=measured.mean,
        interval=measured.interval,
        by_seed=_numbers(measured.by_seed),
        by_fold=tuple(_numbers(row) for row in measured.by_fold),
        mean_of_folds=float(measured.by_fold.mean()),
    )


def _numbers(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
