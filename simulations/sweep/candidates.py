"""What a sweep tries: every combination of some fields' values, or so many drawn at random."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import JsonValue

from common.errors import ConfigError
from common.seeds import stream
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase
from common.study.schema import Study
from common.study.strict import Strict
from simulations.sweep.fields import Axis, Range, varied

_TRAINING: Mapping[type[Strict], tuple[str, ...]] = {
    BackbonesPhase: ("head_rounds", "tail_rounds"),
    FusionPhase: ("rounds",),
    BoosterPhase: ("rounds",),
}
"""The phases that train, and their settings that count rounds."""


@dataclass(frozen=True)
class Candidate:
    """One study of a sweep."""

    number: int
    values: Mapping[str, JsonValue]  # of the fields swept, as the study has them
    study: Study


def candidates(study: Study, axes: Sequence[Axis], random: int | None) -> list[Candidate]:
    """List the studies to try; of two that are the same, one.

    Args:
        study: the scenario's.
        axes: the fields and their values.
        random: draw so many; None: every combination. The first draws of more are those of fewer.

    Raises:
        ConfigError: a field or value is unfit, a field is named twice, or a range is to be gone
            through value by value.
    """
    fields = [axis.field for axis in axes]
    if len(set(fields)) < len(fields):
        raise ConfigError("a field is swept twice", fix="name each field in one --over")
    found: dict[str, Candidate] = {}
    for values in _combinations(axes) if random is None else _draws(study.seed, axes, random):
        other, settled = varied(study, dict(zip(fields, values, strict=True)))
        found.setdefault(other.digest, Candidate(len(found) + 1, settled, other))
    return list(found.values())


def _combinations(axes: Sequence[Axis]) -> Iterable[tuple[JsonValue, ...]]:
    columns = []
    for axis in axes:
        if isinstance(axis.values, Range):
            raise ConfigError(
                f"--over {axis.field} names a range, and a range has no end of values",
                fix="list values, or give --random N to draw N studies",
            )
        columns.append(axis.values)
    return product(*columns)


def _draws(seed: int, axes: Sequence[Axis], number: int) -> Iterable[tuple[JsonValue, ...]]:
    for draw in range(number):
        generator = stream(seed, "sweep", draw)
        yield tuple(axis.drawn(generator) for axis in axes)


def rungs(studies: int, study: Study, eta: int) -> list[int]:
    """Return by what the rounds of training are divided at each rung of successive halving.

    Jamieson & Talwalkar 2016, algorithm 1, with 1/eta kept in place of a half: the first rung
    trains all, the last the best at their full rounds, and each rung in between so many that all
    rungs cost about the same.

    Args:
        studies: how many there are at the first rung.
        study: tells how many rounds there are to be divided; none is left without a round.
        eta: one of so many is kept at each rung.

    Returns:
        Powers of eta, falling to 1.
    """
    most = max(
        getattr(study.phase(kind), name) for kind, names in _TRAINING.items() for name in names
    )
    divisors = [1]
    while divisors[0] * eta <= min(studies, most):
        divisors.insert(0, divisors[0] * eta)
    return divisors


def shortened(study: Study, divisor: int) -> Study:
    """Return a study with so much fewer rounds of training, rounded up; its rates fall in them."""
    phases = [
        phase.model_copy(
            update={n: -(-getattr(phase, n) // divisor) for n in _TRAINING.get(type(phase), ())}
        )
        for phase in study.phases
    ]
    return study.model_copy(update={"phases": tuple(phases)})
