"""What a study's papers tell: gathered from study, site file, kit, manifest and egress log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.approvals import Approval, Approvals, Event, matching
from client.approved_site import ApprovedSite
from client.data.groups import check_grouping
from client.data.manifest import Example
from client.data.splits import split
from client.egress.audit import verify
from client.egress.log import EgressLog, Passage
from client.egress.outbox import Outbox
from client.holdings import offered
from client.left_so_far import Left, passages_of, summed_up
from client.prospect import Prospect, own_timings, prospect
from client.site_config import Limits, SiteConfig
from common.asks import Part
from common.errors import ConfigError, LeukofedError
from common.forecast import PARTS
from common.kit import Kit, fingerprint
from common.proposal import read_proposal
from common.shapes import ModelShapes
from common.study.phases import PHASE_ORDER
from common.study.schema import Study


@dataclass(frozen=True)
class Holding:
    """The images of one part, counted."""

    classes: Mapping[str, int]
    images: int
    groups: int


@dataclass(frozen=True)
class Data:
    """The images that the manifest offers, counted; nothing is withheld: this stays here."""

    parts: Mapping[Part, Holding]
    grouped_by: str
    problem: str = ""
    """Why they could not be counted."""


@dataclass(frozen=True)
class Egress:
    """What has left for the study so far."""

    phases: Mapping[str, Left]
    total: Left | None
    integrity: str
    """Whether the log is whole, in words."""
    is_whole: bool


@dataclass(frozen=True)
class Papers:
    """All that the page shows."""

    site: str
    kit: Kit | None
    coordinator: str
    """Fingerprint of the coordinator's signing key."""
    found: Prospect
    approval: Approval | None
    history: Sequence[Event]
    data: Data
    egress: Egress
    limits: Limits


def chosen_study(approvals: Approvals, wanted: str) -> tuple[Study, Approval | None]:
    """Return the study that a name, a digest's beginning or a file names, and its approval.

    Of several versions of a name it is the one that was approved last.

    Raises:
        ConfigError: none is named so; or the file is no study that the coordinator signed.
    """
    known = [*approvals.earlier(), *approvals.approved()]
    found = matching(known, wanted)
    if found:
        newest = max(found, key=lambda one: one.since)
        return newest.study, newest
    path = Path(wanted)
    if path.is_file():
        study = read_proposal(path, approvals.key)
        return study, next((one for one in known if one.digest == study.digest), None)
    raise ConfigError(
        "no study has this name or digest here, and no such file exists",
        fix="name one that `leukofed-site studies --all` lists, or a proposal's file",
        local_detail=wanted,
    )


def gather(
    opened: ApprovedSite, study: Study, approval: Approval | None, shapes: ModelShapes
) -> Papers:
    """Gather everything; no image is opened."""
    config, approvals = opened.config, opened.approvals
    found = prospect(
        study, shapes, config, own_timings(config.state, config.name, {study.digest: study})
    )
    return Papers(
        config.name,
        opened.kit,
        fingerprint(str(config.coordinator)),
        found,
        approval,
        [event for event in approvals.history() if event.digest == study.digest],
        _data(config, study),
        _egress(config, study.digest),
        config.limits,
    )


def _data(config: SiteConfig, study: Study) -> Data:
    try:
        manifest = offered(config, study)
        check_grouping(manifest.grouped_by, study.data)
        parts = split(manifest.examples, study.data.split, study.seed, config.name)
    except LeukofedError as error:
        return Data({}, "", error.problem)
    counted = {part: _holding(parts[part], study.labels.classes) for part in PARTS}
    return Data(counted, manifest.grouped_by)


def _holding(examples: Sequence[Example], classes: Sequence[str]) -> Holding:
    labels = [example.label for example in examples]
    counts = {name: labels.count(number) for number, name in enumerate(classes)}
    return Holding(counts, len(labels), len({example.group for example in examples}))


def _egress(config: SiteConfig, digest: str) -> Egress:
    log = EgressLog(config.state / "egress.jsonl")
    try:
        passages = passages_of(config.state)
        if passages is None:
            return Egress({}, None, "This user may not read the log.", is_whole=False)
        head = verify(log, Outbox(config.state / "outbox"))
        integrity, is_whole = f"{head.lines} lines of all studies, chain intact", True
    except (LeukofedError, OSError) as error:
        passages = []
        problem = error.problem if isinstance(error, LeukofedError) else str(error.strerror)
        integrity, is_whole = f"The log is not whole: {problem}", False
    own = [left for left in passages if left.study == digest]
    by_phase: dict[str, list[Passage]] = {phase: [] for phase in PHASE_ORDER}
    for left in own:
        by_phase.setdefault(left.phase, []).append(left)
    phases = {phase: summed_up(lefts) for phase, lefts in by_phase.items() if lefts}
    return Egress(phases, summed_up(own) if own else None, integrity, is_whole)
