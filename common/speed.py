"""How fast a site works: measured from its own earlier answers, or supposed and said to be so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from common.asks import CensusTold, Part
from common.forecast import PARTS, Images, amount_of_work, paced_as
from common.planned import Planned
from common.study.schema import Study

EXCHANGE_S = 5.6
"""Seconds that an exchange over Flower takes besides the work (docs/performance.md)."""

SUPPOSED_MS: Mapping[str, float] = {
    "census": 15, "moments backbones": 95, "fit heads": 40, "fit heads again": 3,
    "fit tails": 40, "fit tails again": 25, "moments fusion": 17, "fit fusion": 20,
    "fit fusion again": 1, "booster": 1, "booster again": 0.1, "trees": 1, "trees again": 0.2,
    "collective": 1, "collective again": 2, "calibration": 1,
    "evaluation test": 110, "evaluation validation": 5,
}  # fmt: skip
"""Milliseconds per image, or view of one, on two processor cores with the default network."""


@dataclass(frozen=True)
class Timing:
    """One answer of a site: how long it worked, and on how much."""

    kind: str
    """As `common.forecast.paced_as` names it."""
    amount: int
    """Images, or views of them."""
    seconds: float


@dataclass(frozen=True)
class Speed:
    """What a site takes for one image, or view, by kind of work."""

    ms: Mapping[str, float]
    is_measured: bool

    def seconds(self, planned: Planned, kind: str, study: Study, images: Images) -> float:
        """Return the seconds of work of one exchange."""
        ms = self.ms.get(kind)
        if ms is None:
            ms = SUPPOSED_MS[kind]
        return amount_of_work(planned, study, images) * ms / 1000


SUPPOSED = Speed(SUPPOSED_MS, is_measured=False)


def speed_of(timings: Iterable[Timing]) -> Speed:
    """Return a site's speed: per kind of work, that of the largest amount on record.

    Of equal amounts the slowest counts: a later run of the same images finds them in the cache.
    What was never measured is supposed; without any timing, everything is.
    """
    best: dict[str, Timing] = {}
    for timing in timings:
        known = best.get(timing.kind)
        if known is None or (timing.amount, timing.seconds) > (known.amount, known.seconds):
            best[timing.kind] = timing
    measured = {kind: 1000 * one.seconds / one.amount for kind, one in best.items()}
    return Speed({**SUPPOSED_MS, **measured}, is_measured=True) if measured else SUPPOSED


Place = tuple[str, int, int]
"""Phase, round and exchange."""


@dataclass(frozen=True)
class Kinds:
    """The kinds of work of one study, by place."""

    study: Study
    kinds: Mapping[Place, tuple[Planned, str]]

    @classmethod
    def of(cls, study: Study) -> "Kinds":
        """List a study's."""
        return cls(
            study,
            {(one.phase, one.round, one.exchange): (one, kind) for one, kind in paced_as(study)},
        )

    def timing(self, place: Place, images: Images, seconds: float) -> Timing | None:
        """Describe one answer; None if the study has no such exchange, or it took no time."""
        if place not in self.kinds or seconds <= 0:
            return None
        planned, kind = self.kinds[place]
        return Timing(kind, amount_of_work(planned, self.study, images), seconds)


@dataclass(frozen=True)
class RunFacts:
    """What a run's record tells for forecasts."""

    images: Mapping[str, Images]
    """Of each site, as its census told; classes whose count it withheld are not among them."""
    timings: Mapping[str, Sequence[Timing]]
    is_rehearsal: bool
    """Its images were generated: their number says nothing about the site."""
    exchange_s: float | None
    """Seconds that an exchange took besides the slowest site's work, in the median."""


def facts_of_record(events: Sequence[Mapping[str, Any]], study: Study) -> RunFacts:
    """Gather what a run's record tells of its sites' speed.

    Args:
        events: of the record.
        study: of the run.
    """
    images: dict[str, Images] = {}
    for event in events:
        if event["event"] == "round" and "census" in event:
            images |= {
                site: counted(CensusTold.model_validate(told))
                for site, told in event["census"].items()
            }
    timings: dict[str, list[Timing]] = {site: [] for site in images}
    besides, kinds = [], Kinds.of(study)
    for event in events:
        worked = event.get("work_s") or {}
        if event["event"] != "exchange" or not worked:
            continue
        besides.append(max(0.0, float(event["seconds"]) - max(worked.values())))
        for site in set(event["accepted"]) & images.keys() & worked.keys():
            place = (str(event["phase"]), int(event["round"]), int(event["exchange"]))
            found = kinds.timing(place, images[site], float(worked[site]))
            if found is not None:
                timings[site].append(found)
    is_rehearsal = any(event.get("rehearsal") for event in events)
    return RunFacts(images, timings, is_rehearsal, median(besides) if besides else None)


def counted(census: CensusTold) -> Images:
    """Return a census's examples by part."""
    named: dict[Part, int] = {part: sum(census.examples.get(part, {}).values()) for part in PARTS}
    return named


def phase_seconds(
    study: Study,
    speeds: Mapping[str, Speed],
    images: Mapping[str, Images],
    exchange_s: float = EXCHANGE_S,
) -> tuple[Mapping[str, float], Mapping[str, Mapping[str, float]]]:
    """Forecast the seconds of each phase: every exchange waits for the slowest site.

    Args:
        study: what is run.
        speeds: of each site.
        images: of each site.
        exchange_s: what an exchange takes besides the work.

    Returns:
        The phases' seconds, and each site's own seconds of work by phase.
    """
    whole: dict[str, float] = {}
    works: dict[str, dict[str, float]] = {site: {} for site in speeds}
    for planned, kind in paced_as(study):
        own = {
            site: speed.seconds(planned, kind, study, images[site])
            for site, speed in speeds.items()
        }
        whole[planned.phase] = whole.get(planned.phase, 0.0) + exchange_s + max(own.values())
        for site, seconds in own.items():
            works[site][planned.phase] = works[site].get(planned.phase, 0.0) + seconds
    return whole, works
