"""What follows from what `leukofed-server start` sees."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from server.federation import Federation
from server.link_database import RunsNow
from server.services_file import Part, ServicesNow, read_services, services_file, write_services
from server.watch import LEAST_FREE_BYTES, Sight, has_executor, is_idle, may_restart, troubles

WELL = Sight(runs=RunsNow())


@pytest.mark.parametrize(
    ("changes", "kind", "words", "restarts"),
    [
        ({"has_executor": False}, "executor", "no run can begin", True),
        ({"runs": RunsNow(0, 1, 31.0)}, "pending", "waited for 31 s", True),
        ({"link_silent_s": 61.0}, "link", "not answered for 1 min 1 s", True),
        ({"link_renewed": True}, "renewed", "started anew with it", True),
        ({"front_silent_s": 61.0}, "front", "see front/front.log", False),
        ({"free_bytes": LEAST_FREE_BYTES - 1}, "disk", "500 MB are free", False),
        ({"runs": None}, "blind", "does not answer", False),
        ({"sites_problem": "an entry is damaged"}, "sites", "an entry is damaged", False),
        ({"warnings": ["it ends soon"]}, "certificate-0", "it ends soon", False),
        ({"runs": RunsNow(1), "database_bytes": 2e6}, "database", "takes 2 MB", False),
    ],
)
def test_a_trouble_is_told(
    changes: dict[str, object], kind: str, words: str, restarts: bool
) -> None:
    (found,) = troubles(dataclasses.replace(WELL, **changes), 1e6)  # type: ignore[arg-type]
    assert (found.kind, found.restart) == (kind, restarts)
    assert words in found.words


@pytest.mark.parametrize(
    "sight",
    [
        WELL,
        dataclasses.replace(WELL, has_executor=None),  # a system that does not tell
        dataclasses.replace(WELL, runs=RunsNow(1, 1, 29.0), front_silent_s=59.0, link_silent_s=59),
        dataclasses.replace(WELL, database_bytes=2_000_000),  # idle: it is mended without a word
    ],
)
def test_all_is_well(sight: Sight) -> None:
    assert troubles(sight, 1e6) == []


def test_a_restart_costs_no_run() -> None:
    assert may_restart(WELL)
    assert is_idle(WELL)
    waits = dataclasses.replace(WELL, runs=RunsNow(0, 1, 40.0))
    assert may_restart(waits)
    assert not is_idle(waits)
    for runs in (RunsNow(1), None):
        assert not may_restart(dataclasses.replace(WELL, runs=runs))
        assert not is_idle(dataclasses.replace(WELL, runs=runs))


def test_a_process_without_children_has_no_executor() -> None:
    assert has_executor(os.getpid()) in (False, None)
    assert has_executor(2**30) is None


def test_the_state_is_read_by_other_commands(tmp_path: Path) -> None:
    federation = Federation(tmp_path)
    federation.front.mkdir()
    assert read_services(federation) is None
    part = Part(17, 2, True)
    now = ServicesNow(os.getpid(), "2026", "2027", part, part, 5, ["a trouble"], "it was")
    write_services(federation, now)
    assert services_file(federation).stat().st_mode & 0o777 == 0o600
    assert json.loads(services_file(federation).read_bytes())["link"]["starts"] == 2
    gone = dataclasses.replace(now, pid=2**30)
    write_services(federation, gone)
    if Path("/proc/self").exists():
        assert read_services(federation) is None
