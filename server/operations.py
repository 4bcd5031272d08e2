"""Launch, stop and resume: what the coordinator's commands do with a run at the SuperLink.

A run's folder notes each launch and each stop (`server.standing.DEEDS_FILE`), so that what Flower
forgets when its database is made anew is not forgotten here.
"""

import getpass
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigError, LeukofedError, RunStopped
from common.record import Record, read_record
from common.study.schema import Study
from server.control import SUPERLINK, LinkError, flwr
from server.federation import Federation
from server.health import link_answers
from server.locks import held
from server.now import read_now
from server.readiness import check_alone, check_quorum
from server.site_list import SiteState, site_states
from server.standing import DEEDS_FILE, LAUNCH_FILE, Standing, runs, standing
from server.status import PENDING
from server.watch import PENDING_S

APP = Path(__file__).parent / "flower-app"
"""The application that Flower ships: a link to deploy/flower-app, whose files the wheel holds."""
Note = Callable[[str], None]
_ASK_EVERY_S = 5.0
_BEGINS_S = 180.0
_ENDS_S = 30.0


def all_standings(federation: Federation) -> list[Standing]:
    """Say how every run of a federation stands, oldest first; a damaged folder is left out."""
    found = []
    for path in runs(federation.runs):
        try:
            found.append(standing(path))
        except LeukofedError:
            continue
    return found


def named(federation: Federation, run: str) -> Standing:
    """Say how a run stands.

    Raises:
        ConfigError: there is no such run.
    """
    paths = {path.name: path for path in runs(federation.runs)}
    if run not in paths:
        raise ConfigError(
            f"there is no run {run!r}",
            fix="see `leukofed-server runs` for their names",
            local_detail=str(federation.runs),
        )
    return standing(paths[run])


def nodes_of(federation: Federation) -> tuple[dict[str, SiteState], LinkError | None]:
    """Return the register's entries by name, a revoked one only where there is no other.

    Costs a second or two of processor time.
    """
    states, failure = site_states(federation)
    return {one.name: one for one in sorted(states, key=lambda one: one.revoked is None)}, failure


def check_site_presence(federation: Federation, study: Study) -> list[str]:
    """Check that nothing keeps a run of a study from beginning; return the sites that are missing.

    Raises:
        ConfigError: another run is at work, or fewer sites than the quorum are connected.
        LinkError: the SuperLink does not answer.
    """
    check_alone(_really_active(federation))
    if not link_answers(federation):
        raise LinkError(
            "the SuperLink does not answer",
            fix="run `leukofed-server start`, and leave it running",
        )
    nodes, failure = nodes_of(federation)
    if failure is not None:
        raise failure
    return check_quorum(study, nodes)


@contextmanager
def alone(federation: Federation) -> Iterator[None]:
    """Launch or resume as no other command does meanwhile: of two at once, the second is refused.

    Raises:
        ConfigError: another run is at work, or the folder cannot be written to.
    """
    with held(federation.runs):
        check_alone(_really_active(federation))
        yield


def submit(federation: Federation, one: Standing) -> str:
    """Hand a run to the SuperLink, for the first time or to go on; return Flower's number for it.

    Raises:
        LinkError: the SuperLink does not take it.
    """
    file = (one.path / LAUNCH_FILE).resolve()
    config = f"launch={json.dumps(str(file))}"
    flower_run = str(flwr(federation, "run", APP, SUPERLINK, "--run-config", config)["run-id"])
    _note(one, "submitted", flower_run=flower_run)
    return flower_run


def wait_until_begun(federation: Federation, path: Path, flower_run: str, note: Note) -> None:
    """Wait until the run's own process has begun.

    Args:
        federation: whose.
        path: the run's folder.
        flower_run: Flower's number.
        note: is told, once, if it takes unusually long.

    Raises:
        RunStopped: the process ended at once, or did not begin within minutes.
    """
    began, asked, told = time.monotonic(), time.monotonic(), False
    while not _has_begun(path, flower_run):
        now = read_now(path)
        if now is not None and now.flower_run == flower_run and now.ended is not None:
            raise RunStopped(now.ended.problem or "it has ended", fix=now.ended.fix or "see above")
        waited = time.monotonic() - began
        if time.monotonic() - asked > _ASK_EVERY_S:
            check_not_failed(federation, flower_run)
            asked = time.monotonic()
        if waited > PENDING_S and not told:
            told = True
            note(PENDING)
        if waited > _BEGINS_S:
            raise RunStopped(
                f"the run has not begun within {_BEGINS_S:g} s; it is still queued",
                fix="restart `leukofed-server start`, or take the run back with "
                f"`leukofed-server stop {path.name}`",
            )
        time.sleep(0.3)


def flower_state(federation: Federation, flower_run: str) -> tuple[str, str]:
    """Return Flower's word for how a run stands, and its details; a second of processor time.

    Raises:
        LinkError: the SuperLink does not answer, or does not know the run.
    """
    found = flwr(federation, "list", "--run-id", flower_run, SUPERLINK)["runs"][0]
    return str(found["status"]), str(found.get("status-details") or "")


def check_not_failed(federation: Federation, flower_run: str) -> None:
    """Check that a run which has not begun may still do so.

    Raises:
        RunStopped: Flower has ended it.
    """
    state, details = flower_state(federation, flower_run)
    if state.startswith("finished"):
        raise RunStopped(
            f"Flower ended the run before it began ({state})",
            fix="see `leukofed-server logs --flower`, and the log of `leukofed-server start`",
            local_detail=details,
        )


def stop(federation: Federation, one: Standing) -> bool:
    """Stop a run; tell whether its process has ended by now.

    Raises:
        ConfigError: it is not at work.
        LinkError: the SuperLink does not answer.
    """
    if not one.is_active:
        raise ConfigError(
            f"{one.run} is not at work: it has {one.state}"
            if one.state == "finished"
            else f"{one.run} is stopped already: {one.why}",
            fix="see `leukofed-server runs`",
        )
    flwr(federation, "stop", one.flower_run, SUPERLINK)
    _note(one, "stopped", flower_run=one.flower_run)
    end = time.monotonic() + _ENDS_S
    while standing(one.path).state == "running":
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True


def resumable(federation: Federation, run: str | None) -> Standing:
    """Return the run to be resumed: the one named, or else the newest unfinished one.

    Raises:
        ConfigError: there is none, or it is at work or finished.
    """
    if run is None:
        unfinished = [one for one in all_standings(federation) if one.state != "finished"]
        if not unfinished:
            raise ConfigError(
                "there is no unfinished run", fix="launch one with `leukofed-server launch STUDY`"
            )
        return unfinished[-1]
    one = named(federation, run)
    if one.state == "finished":
        raise ConfigError(
            f"{run} has finished: its report and its release are left as they are",
            fix="launch a new run with `leukofed-server launch STUDY`",
        )
    return one


def _really_active(federation: Federation) -> Iterable[Standing]:
    """Yield the runs at work; one that was submitted and never began is asked after at Flower."""
    for one in all_standings(federation):
        if one.state == "running":
            yield one
        elif one.state == "starting":
            try:
                state, _ = flower_state(federation, one.flower_run)
            except LinkError:
                continue  # a database that was made anew knows nothing of it
            if not state.startswith("finished"):
                yield one


def _has_begun(path: Path, flower_run: str) -> bool:
    file = path / "record.jsonl"
    return file.exists() and any(
        event.get("event") == "launched" and str(event.get("flower_run")) == flower_run
        for event in read_record(file)
    )


def _note(one: Standing, deed: str, **facts: str) -> None:
    record = Record(one.path / DEEDS_FILE, study=one.study.digest, run=one.run)
    record.write(deed, by=_user(), **facts)


def _user() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
