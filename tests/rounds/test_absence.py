"""Sites that are too slow, or late, or gone: what they cost, and that they are told of."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import RunStopped
from common.record import read_record
from common.wire import Reply
from server.deadlines import Pace, Patience
from server.exchange import Take
from simulations.engines.inprocess import Handle
from tests.support.exchanges import changed
from tests.support.town import SITES, Bench

PATIENT = Patience(most_s=20.0, factor=2.0, floor_s=0.3)


def telling(answer: Handle, seconds: float) -> Handle:
    """Let a site tell of other seconds of work than it took."""
    return lambda data: changed(answer(data), lambda one: replace(one, seconds=seconds))


class Clinic(Bench):
    """A coordinator's rounds with sites that may take their time."""

    def __init__(self, folder: Path, patience: Patience = PATIENT, **options: Any) -> None:
        super().__init__(folder, deadline_s=patience.most_s, **options)
        self.rounds.patience = patience

    def slow(self, *sites: str, until_s: float) -> None:
        """Let the replies of these sites arrive so many seconds from now."""
        self.town.late_until = dict.fromkeys(sites, time.monotonic() + until_s)

    def at(self, site: str, handle: Handle) -> None:
        """Let a site answer otherwise."""
        self.town._nodes[self.town.numbers[site]] = (site, handle)

    def timed(self, take: Take = lambda site, reply: None) -> tuple[list[str], float]:
        began = time.monotonic()
        return self.run(take), time.monotonic() - began

    @property
    def exchange(self) -> dict[str, Any]:
        (event,) = self.events("exchange")
        return event

    @property
    def marks(self) -> list[dict[str, str]]:
        held = self.rounds.register.participation(SITES)["booster"]
        return [dict(round_.sites) for round_ in held]


def test_while_nothing_is_known_a_site_has_all_the_time_there_is(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.slow("north", until_s=1.0)
    found, spent = clinic.timed()
    assert found == list(SITES)
    assert spent >= 1.0
    assert clinic.exchange["allowed_s"] == dict.fromkeys(SITES, 20.0)
    assert clinic.exchange["waited_s"]["north"] >= 0.9 > clinic.exchange["waited_s"]["east"]
    assert clinic.exchange["work_s"] == dict.fromkeys(SITES, 0.5)
    assert clinic.exchange["examples"] == dict.fromkeys(SITES, 7)
    assert clinic.exchange["work"] == "booster"


def test_a_site_that_is_too_slow_costs_its_reply_and_no_more_time(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.run()
    assert clinic.rounds.paces.of("north", "booster", "booster") == Pace(0.5, 7)
    clinic.slow("north", until_s=2.5)
    found, spent = clinic.timed()
    assert found == ["east", "south"]
    assert 1.3 <= spent < 2.3  # 0.3 + 2 * 0.5 s
    assert clinic.missing["north"].startswith("no reply within 1.3 s")
    assert clinic.exchange["allowed_s"]["north"] == pytest.approx(1.3)
    assert clinic.exchange["waited_s"]["north"] == pytest.approx(1.3, abs=0.5)


def test_a_late_reply_is_told_of_and_its_site_takes_part_again(tmp_path: Path) -> None:
    taken: list[tuple[int, str]] = []
    clinic = Clinic(tmp_path)
    clinic.run()
    clinic.slow("north", until_s=1.8)
    clinic.run(take=lambda site, answer: taken.append((answer.step.round, site)))
    assert clinic.marks[1]["north"] == "missing"
    assert clinic.run() == ["east", "south"]
    assert clinic.missing == {"north": "it is still busy with booster, round 2"}
    time.sleep(max(0.0, clinic.town.late_until["north"] - time.monotonic()))
    assert clinic.run(take=lambda site, answer: taken.append((answer.step.round, site))) == [*SITES]
    (late,) = (line for line in read_record(clinic.record.path) if line["event"] == "late")
    assert (late["site"], late["round"], late["phase"]) == ("north", 2, "booster")
    assert late["problem"] == "its reply came after the deadline and does not count"
    assert (2, "north") not in taken
    assert (4, "north") in taken
    assert [marks["north"] for marks in clinic.marks] == [
        "answered", "late", "missing", "answered",
    ]  # fmt: skip


def test_a_late_reply_teaches_how_long_its_site_takes(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.run()
    clinic.at("north", telling(clinic.town.answer, 3.0))
    clinic.slow("north", until_s=1.5)
    assert clinic.run() == ["east", "south"]
    time.sleep(max(0.0, clinic.town.late_until["north"] - time.monotonic()))

    def take(site: str, _: Reply) -> None:
        if site == "east":  # the next reply of north takes its time, too
            clinic.slow("north", until_s=0.4)

    found, spent = clinic.timed(take)
    assert found == list(SITES)
    assert spent >= 0.4  # it is waited for at once, and not as one that was away
    assert clinic.exchange["allowed_s"] == pytest.approx(
        {"east": 1.3, "north": 6.3, "south": 1.3}, abs=0.3
    )


def test_below_the_quorum_no_guess_cuts_a_site_off(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.run()
    clinic.slow("north", "south", until_s=1.6)
    found, spent = clinic.timed()
    assert found == list(SITES)
    assert spent >= 1.6


def test_a_reply_that_was_kept_comes_at_once_and_tells_the_time_it_took(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.at("north", telling(clinic.town.answer, 7.0))
    clinic.run()
    assert clinic.rounds.paces.of("north", "booster", "booster") == Pace(7.0, 7)


def test_a_site_that_claims_long_work_is_waited_for_no_longer_than_the_most(
    tmp_path: Path,
) -> None:
    clinic = Clinic(tmp_path, Patience(most_s=1.0, factor=2.0, floor_s=0.1))
    clinic.at("north", telling(clinic.town.answer, 1e6))
    clinic.run()
    clinic.slow("north", until_s=5.0)
    found, spent = clinic.timed()
    assert found == ["east", "south"]
    assert 1.0 <= spent < 2.0


def test_the_run_stops_where_fewer_than_the_quorum_answered(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, Patience(most_s=0.6))
    clinic.slow("north", "south", until_s=30.0)
    with pytest.raises(RunStopped, match="1 of 3 sites answered usably, and the quorum is 2"):
        clinic.run()
    assert clinic.marks == [{"east": "answered", "north": "missing", "south": "missing"}]


def test_a_reply_to_an_earlier_round_is_refused_by_its_number(tmp_path: Path) -> None:
    """A carrier could hand an old reply over as the new one."""
    clinic = Clinic(tmp_path)
    kept: list[bytes] = []
    answer = clinic.town.answer

    def stale(data: bytes) -> bytes:
        kept.append(answer(data))
        return kept[0]

    clinic.at("north", stale)
    assert clinic.run() == list(SITES)
    assert clinic.run() == ["east", "south"]
    (event,) = clinic.events("rejected")
    assert "it answers another step: round 1 for 2" in event["problem"]
    assert clinic.marks[1]["north"] == "rejected"
