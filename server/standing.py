"""How a run stands, from its own folder: what it does, or why it does nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from common.errors import LeukofedError
from common.record import read_record
from common.study.schema import Study, load_study
from server.now import End, Now, read_now
from server.round_times import Event
from server.run_folder import RunFolder

LAUNCH_FILE = "launch.yaml"
DEEDS_FILE = "operations.jsonl"
"""What the coordinator's commands did with a run: a record of events `submitted` and `stopped`."""
RunState = Literal["starting", "running", "stopped", "finished"]
_SILENT = "its process ended without a word: it was killed, or the SuperLink ended"
_GO_ON = "to go on, `leukofed-server resume`"
_RESUME = "mend what stopped it, then `leukofed-server resume`"


@dataclass(frozen=True)
class SiteStanding:
    """What the record tells of a site."""

    status: str
    """`waiting`, `asked`, `done`, or why nothing of it counts: `missing`, `refused`, `rejected`."""
    since: datetime | None = None
    bytes_down: int = 0
    bytes_up: int = 0
    taken: int = 0
    """Replies that counted."""
    refused: int = 0
    """Requests that the site refused."""
    lost: int = 0
    """Replies that were missing or rejected."""
    last_taken: datetime | None = None
    problem: str = ""
    """The newest thing that went wrong with it."""
    problem_time: datetime | None = None
    fix: str = ""


@dataclass(frozen=True)
class Standing:
    """How a run stands."""

    path: Path
    study: Study
    rehearsal: bool
    state: RunState
    why: str
    """Of a run that is stopped."""
    fix: str
    by_hand: bool
    """Stopped by the coordinator's own command."""
    flower_run: str
    """Flower's number for the newest launch; empty: never launched."""
    launched: datetime | None
    """When it was launched for the first time."""
    submitted: datetime | None
    """When it was launched last."""
    ended: datetime | None
    """When it was last heard of, of a run that is not at work."""
    phase: str
    round: int
    of: int
    exchange: int
    round_since: datetime | None
    sites: Mapping[str, SiteStanding]
    events: Sequence[Event]
    """Its record, without the lines of other runs."""

    @property
    def run(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def is_active(self) -> bool:
        """Whether it works, or is about to."""
        return self.state in ("starting", "running")


@dataclass(frozen=True)
class _Told:
    """What the files of a run's folder tell."""

    events: Sequence[Event]
    deeds: Sequence[Event]
    now: Now | None
    problem: str = ""  # the record cannot be read

    def launched(self) -> list[Event]:
        return [event for event in self.events if event.get("event") == "launched"]

    def submitted(self) -> list[Event]:
        return [deed for deed in self.deeds if deed.get("event") == "submitted"]


def runs(folder: Path) -> list[Path]:
    """List the folders of runs that were launched, oldest first."""
    found = [
        path.parent for path in folder.glob(f"*/{LAUNCH_FILE}") if not path.parent.is_symlink()
    ]
    return sorted(found, key=lambda path: ((path / LAUNCH_FILE).stat().st_mtime_ns, path.name))


def standing(path: Path) -> Standing:
    """Say how a run stands; what is lacking or damaged in its folder is left out.

    Raises:
        ConfigError: the run's study cannot be read.
    """
    study = load_study(path / "study.yaml")
    told = _read(path)
    state, end, by_hand = _state(RunFolder(path, path.name), told)
    launched, submitted = told.launched(), told.submitted()
    newest = (submitted or launched or [{}])[-1]
    first = (submitted or launched or [{}])[0]
    here = told.now if told.now and _is_newest(told.now, newest) else None
    at = here if here and here.phase else None
    last: Mapping[str, Any] = next(
        (event for event in reversed(told.events) if "phase" in event), {}
    )
    return Standing(
        path=path,
        study=study,
        rehearsal=_is_rehearsal(path),
        state=state,
        why=end.problem if state == "stopped" else "",
        fix=end.fix if state == "stopped" else "",
        by_hand=by_hand,
        flower_run=str(newest.get("flower_run", "")),
        launched=_time(first),
        submitted=_time(newest),
        ended=None if state in ("starting", "running") else end.time,
        phase=at.phase if at else str(last.get("phase", "")),
        round=at.round if at else int(last.get("round", 0)),
        of=at.of if at else 0,
        exchange=at.exchange if at else int(last.get("exchange", 0)),
        round_since=at.since if at else None,
        sites={
            site: _site(site, told.events, at if state == "running" else None)
            for site in study.sites
        },
        events=told.events,
    )


def ended_by_flower(one: Standing, state: str, details: str) -> Standing:
    """Return the standing of a run that never began, and that Flower has ended."""
    return replace(
        one,
        state="stopped",
        why=f"Flower ended it before it began ({state}){f': {details}' if details else ''}",
        fix="see `leukofed-server logs --flower`, then `leukofed-server resume`",
        ended=one.submitted,
    )


def _read(path: Path) -> _Told:
    events, problem = _events(path / "record.jsonl")
    deeds, _ = _events(path / DEEDS_FILE)
    return _Told(events, deeds, read_now(path), problem)


def _events(path: Path) -> tuple[list[dict[str, Any]], str]:
    if not path.exists():
        return [], ""
    try:
        return [event for event in read_record(path) if "time" in event], ""
    except LeukofedError as error:
        return [], error.problem


def _state(folder: RunFolder, told: _Told) -> tuple[RunState, End, bool]:
    """Judge a run by its lock first: a process that has died holds none."""
    if folder.finished:
        return "finished", End(time=_last_time(told)), False
    if folder.is_locked:
        return "running", End(time=_last_time(told)), False
    submitted = told.submitted()
    begun = {str(event.get("flower_run")) for event in told.launched()}
    ended_here = {told.now.flower_run} if told.now and told.now.ended else set()
    stop = next((deed for deed in reversed(told.deeds) if deed["event"] == "stopped"), None)
    newest = submitted[-1] if submitted else None
    if stop is not None and told.deeds[-1] is stop:
        by = str(stop.get("by") or "the coordinator")
        return "stopped", End(time=_at(stop), problem=f"{by} stopped it", fix=_GO_ON), True
    if newest is not None and str(newest["flower_run"]) not in begun | ended_here:
        return "starting", End(time=_at(newest)), False
    return "stopped", _end_of(told), False


def _end_of(told: _Told) -> End:
    if told.problem:
        return End(time=_last_time(told), problem=told.problem, fix="restore it from a backup")
    if told.now is not None and told.now.ended is not None and told.now.ended.problem:
        return told.now.ended
    last = next((e for e in reversed(told.events) if e["event"] in ("stopped", "launched")), None)
    if last is not None and last["event"] == "stopped":
        return End(time=_at(last), problem=str(last["problem"]), fix=_RESUME)
    if last is None:
        return End(time=_last_time(told), problem="it was never submitted", fix=_RESUME)
    return End(time=_last_time(told), problem=_SILENT, fix=_RESUME)


def _site(site: str, events: Sequence[Event], now: Now | None) -> SiteStanding:
    down = up = taken = refused = lost = 0
    last_taken = since = problem_time = None
    status, problem, fix = "waiting", "", ""
    for event in events:
        kind = event["event"]
        if kind == "exchange":
            down += int(event.get("bytes_down", {}).get(site, 0))
            up += int(event.get("bytes_up", {}).get(site, 0))
            if site in event.get("accepted", ()):
                taken, last_taken = taken + 1, _at(event)
                status, since = "done", last_taken
        elif event.get("site") == site and "problem" in event:
            problem, fix = str(event["problem"]), str(event.get("fix", ""))
            problem_time = _at(event)
            refused += kind == "refused"
            lost += kind in ("missing", "rejected")
            if kind in ("missing", "refused", "rejected"):
                status, since = kind, problem_time
    if now is not None:
        here = now.sites.get(site)
        status, since = (here.status, here.since) if here else ("waiting", now.since)
    return SiteStanding(
        status=status, since=since, bytes_down=down, bytes_up=up, taken=taken, refused=refused,
        lost=lost, last_taken=last_taken, problem=problem, problem_time=problem_time, fix=fix,
    )  # fmt: skip


def _is_rehearsal(path: Path) -> bool:
    try:
        return bool(yaml.safe_load((path / LAUNCH_FILE).read_bytes())["rehearse"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False


def _is_newest(now: Now, newest: Event) -> bool:
    return str(newest.get("flower_run", now.flower_run)) == now.flower_run


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(str(event["time"]))


def _time(event: Event) -> datetime | None:
    return _at(event) if "time" in event else None


def _last_time(told: _Told) -> datetime:
    times = [_at(event) for event in (*told.events[-1:], *told.deeds[-1:])]
    if told.now is not None and told.now.ended is not None:
        times.append(told.now.ended.time)
    return max(times, default=datetime.now(UTC))
