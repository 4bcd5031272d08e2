"""The door's own rules: how many runs, which refusals are logged, and lines that are owed."""

from pathlib import Path

import pytest

from client.egress.audit import verify
from client.egress.door import Door
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
