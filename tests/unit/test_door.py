"""The door's own rules: how many runs, which refusals are logged, and lines that are owed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.egress.audit import verify
from client.egress.door import Door
from client.egress.log import EgressLog, passage
from client.site_config import Limits
from common.errors import RequestRefused
from common.log_head import split_head
from common.wire import Request
from tests.support.exchanges import STUDY, refusal, reply, request


def let_out(door: Door, asked: Request) -> bytes:
    door.admit(asked, STUDY)
    return door.release(asked, reply(asked))


def test_a_study_has_as_many_runs_as_the_hospital_allows(tmp_path: Path) -> None:
    door = Door(tmp_path, "north", Limits(most_runs=2))
    for run in ("one", "two"):
        let_out(door, request(run=run))
    with pytest.raises(RequestRefused, match="answered in 2 other runs"):
        door.admit(request(run="three"), STUDY)
    let_out(door, request(run="one", exchange=1))  # those that have begun go on
    other = STUDY.model_copy(update={"seed": 2})
    door.admit(request(run="three", study=other.digest), other)


def test_a_round_that_is_over_is_refused_although_it_was_never_answered(tmp_path: Path) -> None:
    door = Door(tmp_path, "north", Limits())
    let_out(door, request(round=3))
    with pytest.raises(RequestRefused, match="round 2 of phase booster is over"):
        door.admit(request(round=2), STUDY)
    let_out(door, request(round=3, exchange=1))


def test_the_same_refusal_is_logged_once(tmp_path: Path) -> None:
    door = Door(tmp_path, "north", Limits())
    asked = request()
    first = door.turn_away(asked, refusal(asked))
    assert [door.turn_away(asked, refusal(asked)) for _ in range(50)] == 50 * [first]
    assert len(list(door.log)) == 1
    another = split_head(door.turn_away(asked, refusal(asked, "never")))[0]
    assert another.lines == len(list(door.log)) == 2


def test_a_line_that_the_disk_refused_is_written_before_the_next(tmp_path: Path) -> None:
    door = Door(tmp_path, "north", Limits())
    first, second = request(exchange=0), request(exchange=1)
    let_out(door, request(round=1, run="before"))
    door.admit(first, STUDY)
    kept = door.log.path.with_name("kept")
    door.log.path.rename(kept)
    door.log.path.mkdir()  # nothing can be written to it
    with pytest.raises(RequestRefused, match="records cannot be kept"):
        door.release(first, reply(first))
    door.log.path.rmdir()
    kept.rename(door.log.path)
    let_out(door, second)
    assert [line.exchange for line in door.log if line.run == "run-1"] == [0, 1]
    assert verify(door.log, door.outbox).lines == 3


def test_a_day_has_as_many_bytes_as_the_hospital_allows(tmp_path: Path) -> None:
    size = len(reply(request()))
    door = Door(tmp_path, "north", Limits(most_mb_a_day=2.5 * size / 1e6))
    for exchange in range(2):
        let_out(door, request(exchange=exchange))
    third = request(round=2)
    door.admit(third, STUDY)
    with pytest.raises(RequestRefused, match="within 24 hours, and with this reply"):
        door.release(third, reply(third))
    assert door.outbox.find(third.step) is None
    assert [line.exchange for line in door.log] == [0, 1]


def test_nothing_is_worked_on_once_the_day_is_full(tmp_path: Path) -> None:
    size = len(reply(request()))
    let_out(Door(tmp_path, "north", Limits()), request())
    full = Door(tmp_path, "north", Limits(most_mb_a_day=size / 1e6))
    with pytest.raises(RequestRefused, match="resume the run when a day has passed"):
        full.admit(request(exchange=1), STUDY)
    assert full.earlier(request()) is not None  # a repeated reply is the one that was counted


def test_what_left_more_than_a_day_ago_does_not_count(tmp_path: Path) -> None:
    size = len(reply(request()))
    log = EgressLog(tmp_path / "egress.jsonl")
    for days in (2, 1.01, 0.99):
        time = datetime.now(UTC) - timedelta(days=days)
        log.append(
            passage(request(), reply(request())).model_copy(update={"time": time.isoformat()})
        )
    door = Door(tmp_path, "north", Limits(most_mb_a_day=2.5 * size / 1e6))
    let_out(door, request())
    with pytest.raises(RequestRefused, match="within 24 hours"):
        let_out(door, request(exchange=1))
