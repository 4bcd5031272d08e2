"""What a study would do at this site: phases, time, disk and bytes, against the site's limits."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.manifest import read_table
from client.data.splits import named_part
from client.egress.log import EgressLog, Passage
from client.site_config import SiteConfig
from common.asks import CensusTold, Part
from common.errors import LeukofedError
from common.forecast import PARTS, Images, Traffic, cache_bytes, shared_out, traffic
from common.labels import Vocabulary
from common.shapes import ModelShapes
from common.sizes import size
from common.speed import EXCHANGE_S, Kinds, Speed, Timing, counted, phase_seconds, speed_of
from common.study.phases import PHASE_ORDER, PhaseName
from common.study.schema import Study


@dataclass(frozen=True)
class Glance:
    """A look at the manifest that opens no image."""

    classes: Mapping[str, int]
    """Rows per class of the study, zeros included."""
    foreign: int = 0
    """Rows whose label the study does not know."""
    images: Images | None = None
    """By part: as the manifest says, else by the study's shares; None if it cannot be read."""
    problem: str = ""
    ungrouped: int = 0
    """Rows that do not fill the column that the study demands."""


@dataclass(frozen=True)
class PhaseProspect:
    """One phase at this site."""

    phase: PhaseName
    exchanges: int
    down: int
    up: int
    largest_up: int
    work_s: float


@dataclass(frozen=True)
class Prospect:
    """A study at this site."""

    study: Study
    digest: str
    phases: Sequence[PhaseProspect]
    glance: Glance
    speed: Speed
    whole_s: float
    """From the first exchange to the last, if no other site is slower."""
    disk: int
    free: int
    objections: Sequence[str]
    """What the site file, the disk or the manifest would stop."""


def prospect(
    study: Study, shapes: ModelShapes, config: SiteConfig, timings: Sequence[Timing]
) -> Prospect:
    """Work out what a study would do here; no image is opened.

    Args:
        study: proposed.
        shapes: of its arrays.
        config: the site file.
        timings: of this site's earlier answers.
    """
    passing = traffic(study, shapes)
    glance = look_at_manifest(config, study)
    images = glance.images or dict.fromkeys(PARTS, 0)
    speed = speed_of(timings)
    whole, works = phase_seconds(study, {config.name: speed}, {config.name: images}, EXCHANGE_S)
    disk = cache_bytes(study, shapes, images) or 0
    free = _free(config.cache.folder)
    return Prospect(
        study,
        study.digest,
        [_phase(name, passing, works[config.name]) for name in PHASE_ORDER],
        glance,
        speed,
        sum(whole.values()),
        disk,
        free,
        list(_objections(study, config, passing, glance, disk, free)),
    )


def look_at_manifest(config: SiteConfig, study: Study) -> Glance:
    """Count a manifest's rows by class, without a look at any image."""
    nothing = dict.fromkeys(study.labels.classes, 0)
    try:
        rows = [row for _, row in read_table(config.images.manifest, config.images.only)]
    except LeukofedError as error:
        return Glance(nothing, problem=error.problem)
    vocabulary = Vocabulary(study.labels.classes, study.labels.words(config.labels))
    rows = [row for row in rows if vocabulary.uses(row["label"])]
    meant = Counter(
        vocabulary.meaning(row["label"]) for row in rows if vocabulary.knows(row["label"])
    )
    known = {name: meant[name] for name in study.labels.classes}
    foreign = len(rows) - meant.total()
    stated = Counter(named_part(row.get("split", "")) for row in rows)
    images: dict[Part, int] = {part: stated[part] for part in PARTS}
    drawn = shared_out(len(rows), study)
    required = study.data.require
    ungrouped = sum(not row.get(required) for row in rows) if required else 0
    return Glance(known, foreign, drawn if stated[None] else images, ungrouped=ungrouped)


def own_timings(state: Path, site: str, studies: Mapping[str, Study]) -> list[Timing]:
    """Gather how long this site worked for its earlier answers, from its own log.

    Args:
        state: the site's own folder; a rehearsal's log lies below it.
        site: its name.
        studies: by digest, those whose answers are looked at.
    """
    found = []
    for log in (state / "egress.jsonl", state / "rehearsal" / "egress.jsonl"):
        try:
            found += list(_timings(EgressLog(log), site, studies))
        except (LeukofedError, OSError, ValueError):
            continue  # damaged, of an older version, or not this user's to read: nothing is known
    return found


def _timings(
    passages: Iterable[Passage], site: str, studies: Mapping[str, Study]
) -> Iterator[Timing]:
    kinds = {digest: Kinds.of(study) for digest, study in studies.items()}
    images: dict[str, Images] = {}
    for left in passages:
        if left.status != "done" or left.site != site or left.study not in kinds:
            continue
        if left.phase == "census" and left.told is not None:
            images[left.study] = counted(CensusTold.model_validate(left.told))
        if left.study in images:
            place = (left.phase, left.round, left.exchange)
            timing = kinds[left.study].timing(place, images[left.study], left.seconds)
            if timing is not None:
                yield timing


def _phase(name: PhaseName, passing: Sequence[Traffic], work: Mapping[str, float]) -> PhaseProspect:
    own = [one for one in passing if one.planned.phase == name]
    return PhaseProspect(
        name,
        len(own),
        sum(one.down for one in own),
        sum(one.up for one in own),
        max((one.up for one in own), default=0),
        work.get(name, 0.0),
    )


def _objections(
    study: Study,
    config: SiteConfig,
    passing: Sequence[Traffic],
    glance: Glance,
    disk: int,
    free: int,
) -> Iterator[str]:
    limits = config.limits
    if config.name not in study.sites:
        yield f"the study does not name this site, {config.name}: nothing would be asked of it"
    refused = [name for name in PHASE_ORDER if name != "release" and name not in limits.phases]
    if refused:
        yield f"this site takes no part in {', '.join(refused)} (limits.phases)"
    if len(passing) > limits.most_rounds:
        first = passing[limits.most_rounds].planned
        yield (
            f"the study asks {len(passing)} times, this site answers {limits.most_rounds} times in "
            f"a run (limits.most_rounds): it would refuse from {first.phase}, round "
            f"{first.round}, on"
        )
    up = max(passing, key=lambda one: one.up)
    if up.up > limits.largest_payload_mb * 1e6:
        yield (
            f"the largest reply, in {up.planned.phase}, holds {size(up.up)}, this site sends at "
            f"most {limits.largest_payload_mb:g} MB (limits.largest_payload_mb)"
        )
    down = max(passing, key=lambda one: one.down)
    if down.down > limits.largest_request_mb * 1e6:
        yield (
            f"the largest request, in {down.planned.phase}, holds {size(down.down)}, this site "
            f"takes at most {limits.largest_request_mb:g} MB (limits.largest_request_mb)"
        )
    day = limits.most_mb_a_day
    leaving = sum(one.up for one in passing)
    if day is not None and leaving > day * 1e6:
        yield (
            f"{size(leaving)} would leave in all, this site sends at most {day:g} MB within 24 "
            "hours (limits.most_mb_a_day)"
        )
    if disk > config.cache.limit_gb * 1e9:
        yield f"the cache needs {size(disk)}, its limit is {config.cache.limit_gb:g} GB"
    elif disk > free:
        yield f"the cache needs {size(disk)}, and {size(free)} are free on its disk"
    if glance.problem:
        yield glance.problem
    elif glance.foreign:
        yield f"{glance.foreign} rows of the manifest carry labels that this study does not have"
    elif glance.ungrouped:
        yield (
            f"the study demands groups by {study.data.require}, and {glance.ungrouped} rows of the "
            "manifest do not fill that column: it would refuse every request"
        )
    elif not any(glance.classes.values()):
        yield "the manifest holds no image of this study's classes"


def _free(folder: Path) -> int:
    """Return the free bytes on a folder's disk; the folder itself may be yet to be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
