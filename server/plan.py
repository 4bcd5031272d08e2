"""What a study will take of each site before it is launched, from what earlier runs measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from common.errors import LeukofedError
from common.forecast import Images, Traffic, cache_bytes, shared_out, traffic
from common.record import read_record
from common.shapes import ModelShapes
from common.speed import (
    EXCHANGE_S,
    SUPPOSED,
    RunFacts,
    Speed,
    Timing,
    facts_of_record,
    phase_seconds,
    speed_of,
)
from common.study.schema import Study, load_study
from server.federation import Federation


@dataclass(frozen=True)
class SitePlan:
    """One site's share."""

    name: str
    images: Images
    images_known: bool
    speed_known: bool
    down: Mapping[str, int]
    up: Mapping[str, int]
    work_s: Mapping[str, float]
    """By phase, as `down` and `up`."""
    disk: int | None
    """Of its cache; None where the initial model's file does not tell."""


@dataclass(frozen=True)
class Plan:
    """A study's forecast."""

    study: str
    digest: str
    sites: Sequence[SitePlan]
    exchanges: Mapping[str, int]
    seconds: Mapping[str, float]
    """Of each phase: every exchange waits for the slowest site."""
    exchange_s: float
    """What an exchange takes besides the work."""
    exchange_measured: bool
    mbit: float | None


def plan(
    study: Study,
    shapes: ModelShapes,
    facts: Sequence[RunFacts],
    *,
    images: int,
    mbit: float | None = None,
) -> Plan:
    """Forecast a study.

    Args:
        study: what is to be run.
        shapes: of its arrays.
        facts: of earlier runs, oldest first.
        images: what a site without a census on record is supposed to hold.
        mbit: bandwidth between coordinator and a site, in units of 10^6 bit/s; None: not counted.
    """
    passing = traffic(study, shapes)
    speeds, held = _speeds(study, facts), _held(study, facts)
    counts = {site: held.get(site, shared_out(images, study)) for site in study.sites}
    besides = [one.exchange_s for one in facts if one.exchange_s is not None]
    exchange_s = median(besides) if besides else EXCHANGE_S
    seconds, works = phase_seconds(study, speeds, counts, exchange_s)
    if mbit is not None:
        seconds = {
            phase: own + sum(one.down + one.up for one in _of(passing, phase)) * 8 / mbit / 1e6
            for phase, own in seconds.items()
        }
    sites = [
        SitePlan(
            site, counts[site], site in held, speeds[site].is_measured,
            {phase: sum(one.down for one in _of(passing, phase)) for phase in seconds},
            {phase: sum(one.up for one in _of(passing, phase)) for phase in seconds},
            works[site], cache_bytes(study, shapes, counts[site]),
        )
        for site in study.sites
    ]  # fmt: skip
    exchanges = {phase: len(_of(passing, phase)) for phase in seconds}
    return Plan(
        study.name, study.digest, sites, exchanges, seconds, exchange_s, bool(besides), mbit
    )


def facts_of_runs(federation: Federation) -> list[RunFacts]:
    """Gather what the records of a federation's runs tell, oldest first; damaged ones are left."""
    found = []
    records = federation.runs.glob("*/record.jsonl")
    for record in sorted(records, key=lambda path: path.stat().st_mtime):
        if record.parent.is_symlink():
            continue  # `latest`
        try:
            study = load_study(record.parent / "study.yaml")
            found.append(facts_of_record(read_record(record), study))
        except (LeukofedError, ValueError, KeyError):
            continue  # damaged, or of an older version: nothing is known from it
    return found


def _speeds(study: Study, facts: Sequence[RunFacts]) -> dict[str, Speed]:
    """Return each site's speed; a site that was never measured is as slow as the slowest."""
    timings: dict[str, list[Timing]] = {site: [] for site in study.sites}
    for one in facts:
        for site in timings.keys() & one.timings.keys():
            timings[site] += one.timings[site]
    speeds = {site: speed_of(own) for site, own in timings.items()}
    measured = [speed for speed in speeds.values() if speed.is_measured]
    slowest = Speed(
        {kind: max(one.ms[kind] for one in measured) for kind in SUPPOSED.ms} if measured
        else SUPPOSED.ms,
        is_measured=False,
    )  # fmt: skip
    return {site: speed if speed.is_measured else slowest for site, speed in speeds.items()}


def _held(study: Study, facts: Sequence[RunFacts]) -> dict[str, Images]:
    """Return each site's images by part, as its last census of real images told."""
    return {
        site: images
        for one in facts
        if not one.is_rehearsal
        for site, images in one.images.items()
        if site in study.sites
    }


def _of(passing: Sequence[Traffic], phase: str) -> list[Traffic]:
    return [one for one in passing if one.planned.phase == phase]
