"""How long a run's rounds take, from rounds of the same kind that are over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any

from common.planned import planned_exchanges
from common.study.phases import BackbonesPhase, PhaseName
from common.study.schema import Study

Event = Mapping[str, Any]
"""A line of a run's record."""
Step = tuple[PhaseName, int]
"""A phase and its round."""


def steps_of(study: Study) -> list[Step]:
    """List all rounds in which sites are asked, in order; round 0 gathers moments."""
    return list(dict.fromkeys((one.phase, one.round) for one in planned_exchanges(study)))


def kind_of(study: Study, phase: str, number: int) -> str:
    """Name what a round does: rounds of one kind take about as long as one another."""
    if phase in ("backbones", "fusion") and number == 0:
        return f"{phase}, moments"
    if phase == "backbones":
        heads = number <= study.phase(BackbonesPhase).head_rounds
        return f"{phase}, {'heads' if heads else 'tails'}"
    return phase


def seconds_of_rounds(events: Iterable[Event]) -> dict[tuple[str, int], float]:
    """Return how long each finished round of a record took, in seconds.

    An exchange that was repeated after a stop counts once, as it went last.
    """
    found: dict[tuple[str, int], float] = {}
    going: dict[tuple[str, int], dict[int, float]] = {}
    for event in events:
        step = (str(event.get("phase")), int(event.get("round", 0)))
        if event.get("event") == "exchange":
            going.setdefault(step, {})[int(event["exchange"])] = float(event["seconds"])
        elif event.get("event") == "round":
            found[step] = sum(going.pop(step, {}).values())
    return found


def seconds_by_kind(study: Study, *records: Iterable[Event]) -> dict[str, float]:
    """Return how long a round of each kind takes, in seconds, going by records of this study.

    Args:
        study: what was run.
        records: the one to be believed first comes first; the others fill in what it lacks.
    """
    found: dict[str, float] = {}
    for events in records:
        kinds: dict[str, list[float]] = {}
        for (phase, number), seconds in seconds_of_rounds(events).items():
            kinds.setdefault(kind_of(study, phase, number), []).append(seconds)
        for kind, seconds_seen in kinds.items():
            found.setdefault(kind, median(seconds_seen))
    return found


def left_s(
    study: Study, at: tuple[str, int], spent_s: float, kinds: Mapping[str, float]
) -> float | None:
    """Return the seconds that a run still takes from a round on; None while that is not known.

    Args:
        study: what is run.
        at: phase and round under way.
        spent_s: how long that round has lasted, in seconds.
        kinds: as `seconds_by_kind` returns.
    """
    steps = steps_of(study)
    ahead = steps[[*steps, at].index(at) :]
    needed = [kinds.get(kind_of(study, *step)) for step in ahead]
    known = [seconds for seconds in needed if seconds is not None]
    if len(known) < len(needed):
        return None
    return max(sum(known) - min(spent_s, known[0]), 0.0) if known else 0.0


def worked_s(events: Sequence[Event], until: datetime | None) -> float:
    """Return the seconds that processes worked on a run, pauses between launches left out.

    Args:
        events: of its record.
        until: now, if one works on it; else None.
    """
    total = 0.0
    for launched, last in _launches(events, until):
        total += max((last - launched).total_seconds(), 0.0)
    return total


def _launches(
    events: Sequence[Event], until: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    began: datetime | None = None
    last: datetime | None = None
    for event in events:
        time = datetime.fromisoformat(str(event["time"]))
        if event.get("event") == "launched":
            if began is not None and last is not None:
                yield began, last
            began = time
        last = time
    if began is not None and last is not None:
        yield began, until or last
