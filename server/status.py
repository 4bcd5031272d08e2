"""The status of a federation: its newest run, sites and services, for people and monitors."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from common.durations import duration
from common.study.phases import PHASE_ORDER
from common.study.strict import Strict
from server.federation import Federation
from server.now import ASKED
from server.progress import DONE
from server.round_times import kind_of, left_s, seconds_by_kind, worked_s
from server.services_file import ServicesNow, read_services
from server.site_list import SiteState
from server.standing import RunState, SiteStanding, Standing
from server.watch import PENDING_S

_OVERDUE = 3.0  # an exchange that takes so many times what it took before is worth a look
_OVERDUE_S = 300.0  # and at least so much longer, in seconds
PENDING = (
    "Flower has not begun the run yet. If it stays so, the process of the SuperLink that starts "
    "runs has died: restart `leukofed-server start`, and the run begins by itself"
)

_SILENT = "the SuperLink does not answer"
_START = "run `leukofed-server start`, and leave it running"

Answer = Literal["answers", "silent"]


class SiteStatus(Strict):
    """A site in the run."""

    status: str
    """In this round: `waiting` (not asked yet), `asked`, `done`, `missing`, `refused`, `rejected`;
    of a run that is not at work, the last of these."""
    since: datetime | None
    """From when."""
    elapsed_s: float | None
    """Seconds since it was asked; null unless it is."""
    expected_s: float | None
    """Seconds that a round of this kind takes; null: none is over yet."""
    node: str
    """Its SuperNode at the SuperLink: `online`, `offline`, `never seen`, `revoked`,
    `not registered`, `unknown` (the SuperLink was not asked, or is silent)."""
    last_seen: datetime | None
    """When its SuperNode was last known to be online."""
    last_reply: datetime | None
    """When the last exchange ended in which its reply counted."""
    bytes_down: int
    """To the site, in exchanges that are over."""
    bytes_up: int
    """From the site."""
    replies: int
    """Replies that counted."""
    refused: int
    """Requests that it refused."""
    lost: int
    """Replies that were missing or could not be used."""
    problem: str
    """The newest thing that went wrong with it."""
    problem_time: datetime | None
    """When."""
    fix: str
    """What to do about it."""


class RunStatus(Strict):
    """A run."""

    run: str
    """Its name, which is that of its folder."""
    study: str
    """The study's name."""
    digest: str
    """The study's digest."""
    rehearsal: bool
    """Whether it runs on generated images."""
    state: RunState
    """`starting` (launched, not begun), `running`, `stopped` (can be resumed), `finished`."""
    why: str
    """Why it stopped."""
    fix: str
    """What to do about it."""
    flower_run: str
    """Flower's number for the newest launch."""
    launched: datetime | None
    """When it was launched first."""
    ended: datetime | None
    """When it was last heard of; null while it works."""
    worked_s: float
    """Seconds at work, all launches together."""
    phase: str
    """The phase under way, or the last one."""
    phase_number: int
    """Its number, from 1."""
    phases: int
    """Phases in all."""
    round: int
    """The round; 0 gathers statistics of features."""
    rounds: int
    """The last round of the phase; 0: not known."""
    exchange: int
    """The exchange of the round, from 0."""
    round_elapsed_s: float | None
    """Seconds since the round began; null unless it runs."""
    round_expected_s: float | None
    """Seconds that a round of this kind takes; null: none is over yet."""
    left_s: float | None
    """Seconds until the run has finished, going by rounds that are over; null: not known."""
    report: str
    """Path of the report; empty: there is none yet."""
    sites: dict[str, SiteStatus]
    """The study's sites."""


class Status(Strict):
    """What `leukofed-server status --json` prints."""

    federation: str
    """The federation's name."""
    time: datetime
    """Now."""
    superlink: Answer
    """Whether the SuperLink answers."""
    services: ServicesNow | None
    """What `leukofed-server start` says of itself; null: it does not run."""
    run: RunStatus | None
    """The run at work, else the newest one; null: there is none."""
    attention: tuple[str, ...]
    """What needs attention, in sentences; if there is any, the exit code is 1."""


def chosen(standings: Sequence[Standing]) -> Standing | None:
    """Return the run at work, else the one that was heard of last."""
    active = [one for one in standings if one.is_active]
    by_time = sorted(active or standings, key=_last_heard)
    return by_time[-1] if by_time else None


def status_of(
    federation: Federation,
    one: Standing | None,
    others: Sequence[Standing],
    *,
    link_answers: bool,
    nodes: Mapping[str, SiteState],
    now: datetime | None = None,
) -> Status:
    """Put together what is known.

    Args:
        federation: whose.
        one: the run to be told of.
        others: further runs of the federation; those of the same study tell how long rounds take.
        link_answers: whether the SuperLink does.
        nodes: per site, its entry in the register; none if that was not looked at.
        now: the time.
    """
    now = now or datetime.now(UTC)
    run = None if one is None else run_status(one, others, nodes, now)
    services = read_services(federation)
    attention = [] if link_answers else [_SILENT if services else f"{_SILENT}: {_START}"]
    attention += services.troubles if services is not None else []
    if one is not None and run is not None:
        attention += _of_run(one, run, now)
    return Status(
        federation=federation.settings.name,
        time=now,
        superlink="answers" if link_answers else "silent",
        services=services,
        run=run,
        attention=tuple(attention),
    )


def run_status(
    one: Standing, others: Sequence[Standing], nodes: Mapping[str, SiteState], now: datetime
) -> RunStatus:
    """Say how a run stands, and how long it may still take."""
    at_work = one.state == "running"
    alike = [o.events for o in reversed(others) if o.study.digest == one.study.digest and o != one]
    kinds = seconds_by_kind(one.study, one.events, *alike)
    expected = kinds.get(kind_of(one.study, one.phase, one.round)) if one.phase else None
    spent = _since(one.round_since, now) if at_work else None
    at = (one.phase, one.round) if one.phase else ("census", 1)
    has_report = one.state == "finished" and (one.path / "report.html").is_file()
    return RunStatus(
        run=one.run,
        study=one.study.name,
        digest=one.study.digest,
        rehearsal=one.rehearsal,
        state=one.state,
        why=one.why,
        fix=one.fix,
        flower_run=one.flower_run,
        launched=one.launched,
        ended=one.ended,
        worked_s=round(worked_s(one.events, now if at_work else None), 1),
        phase=one.phase,
        phase_number=[*PHASE_ORDER, one.phase].index(one.phase) + 1 if one.phase else 0,
        phases=len(PHASE_ORDER),
        round=one.round,
        rounds=one.of,
        exchange=one.exchange,
        round_elapsed_s=spent,
        round_expected_s=expected,
        left_s=left_s(one.study, at, spent or 0.0, kinds) if one.is_active else None,
        report=str(one.path / "report.html") if has_report else "",
        sites={
            name: _site_status(site, nodes.get(name), expected, now if at_work else None)
            for name, site in one.sites.items()
        },
    )


def _site_status(
    site: SiteStanding, node: SiteState | None, expected: float | None, now: datetime | None
) -> SiteStatus:
    asked = now is not None and site.status == ASKED
    return SiteStatus(
        status=site.status,
        since=site.since,
        elapsed_s=_since(site.since, now) if asked and now else None,
        expected_s=expected,
        node="unknown" if node is None else node.state,
        last_seen=None if node is None else node.last_seen,
        last_reply=site.last_taken,
        bytes_down=site.bytes_down,
        bytes_up=site.bytes_up,
        replies=site.taken,
        refused=site.refused,
        lost=site.lost,
        problem=site.problem,
        problem_time=site.problem_time,
        fix=site.fix,
    )


def _of_run(one: Standing, run: RunStatus, now: datetime) -> list[str]:
    """List what needs attention in a run."""
    if run.state == "stopped":
        return [] if one.by_hand else [f"{run.run} stopped: {run.why}"]
    if run.state == "starting":
        waited = _since(one.submitted, now) or 0.0
        return [f"{run.run}: {PENDING}"] if waited > PENDING_S else []
    if run.state == "finished":
        return []
    found = []
    for name, site in run.sites.items():
        if site.status in ("missing", "refused", "rejected"):
            found.append(f"{name} is {site.status} in this round: {site.problem}")
        elif site.status != DONE and site.node not in ("online", "unknown"):
            found.append(f"{name} is not connected")
    spent, expected = run.round_elapsed_s, run.round_expected_s
    if spent and expected and spent > max(_OVERDUE * expected, expected + _OVERDUE_S):
        found.append(
            f"{run.phase}, round {run.round} has lasted for {duration(spent)}; before, such a "
            f"round took {duration(expected)}"
        )
    return found


def _since(time: datetime | None, now: datetime) -> float | None:
    return None if time is None else round(max((now - time).total_seconds(), 0.0), 1)


def _last_heard(one: Standing) -> datetime:
    return one.ended or one.submitted or datetime.min.replace(tzinfo=UTC)
