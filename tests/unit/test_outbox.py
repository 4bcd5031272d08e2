from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.egress.audit import verify
from client.egress.door import Door
from client.egress.log import passage
from client.site_config import Limits
from common.digests import digest_bytes
from common.errors import CorruptFile, RequestRefused
from common.log_head import split_head
from tests.support.exchanges import STUDY, census_request, refusal, reply, request


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path, "north", Limits())


def body(door: Door, sent: bytes | None) -> bytes:
    """Return the reply behind the head; that of the log, in which the reply's own line stands."""
    assert sent is not None
    head, answer_ = split_head(sent)
    assert head == door.log.head
    assert digest_bytes(answer_) in [line.sha256 for line in door.log]
    return answer_


def answer(door: Door, **step: Any) -> bytes:
    asked = request(**step)
    assert door.earlier(asked) is None
    door.admit(asked, STUDY)
    return body(door, door.release(asked, reply(asked)))


def again(door: Door, **step: Any) -> bytes:
    return body(door, door.earlier(request(**step)))


def statuses(door: Door) -> list[str]:
    return [line.status for line in door.log]


def test_the_same_request_gets_the_same_bytes_and_no_second_line(door: Door) -> None:
    first = answer(door)
    assert again(door) == first == reply(request())
    assert statuses(door) == ["done"]


def test_an_earlier_reply_goes_out_behind_the_head_of_now(door: Door) -> None:
    first = answer(door)
    before = door.log.head
    answer(door, run="run-2")
    assert again(door) == first
    assert (before.lines, door.log.head.lines) == (1, 2)


def test_a_restarted_site_still_knows_its_answers(door: Door, tmp_path: Path) -> None:
    first = answer(door)
    assert again(Door(tmp_path, "north", Limits())) == first


def test_another_request_for_the_same_step_is_refused(door: Door) -> None:
    answer(door)
    with pytest.raises(RequestRefused, match="to another request"):
        door.earlier(request(parts={"fusion": "0" * 64}))


@pytest.mark.parametrize(
    "step",
    [{"study": "f" * 64}, {"run": "run-2"}, {"round": 2}, {"exchange": 1}, {"site": "south"}],
)
def test_another_step_has_no_answer_yet(door: Door, step: dict[str, Any]) -> None:
    answer(door)
    assert door.earlier(request(**step)) is None


def test_the_next_round_forgets_the_bytes_but_not_the_step(door: Door, tmp_path: Path) -> None:
    answer(door, round=1)
    answer(door, round=2)
    assert len(list(tmp_path.rglob("*.reply"))) == 1
    with pytest.raises(RequestRefused, match="a later round confirmed"):
        door.earlier(request(round=1))
    with pytest.raises(RequestRefused, match="to another request"):
        door.earlier(request(round=1, parts={"fusion": "0" * 64}))


def test_a_later_phase_forgets_too(door: Door) -> None:
    asked = census_request()
    door.release(asked, reply(asked))
    answer(door, round=1)
    with pytest.raises(RequestRefused, match="confirmed"):
        door.earlier(asked)


def test_a_round_keeps_all_its_exchanges_for_a_coordinator_that_resumes(door: Door) -> None:
    kept = [answer(door, exchange=level) for level in range(3)]
    assert [again(door, exchange=level) for level in range(3)] == kept


def test_rounds_are_compared_as_numbers(door: Door) -> None:
    answer(door, phase="booster", round=2)
    asked = request(round=6)
    door.admit(asked, STUDY)
    door.release(asked, reply(asked))
    assert door.outbox.find(request(round=6).step) is not None
    ten = request(round=10).step
    door.outbox.confirm(ten)
    with pytest.raises(RequestRefused, match="confirmed"):
        door.earlier(asked)


def test_another_run_forgets_nothing(door: Door) -> None:
    first = answer(door, round=1)
    answer(door, run="..", round=2)
    assert again(door, round=1) == first


def test_a_refused_request_forgets_nothing(door: Door) -> None:
    first = answer(door, round=1)
    with pytest.raises(RequestRefused, match="does not exist"):
        door.admit(request(round=99), STUDY)
    assert again(door, round=1) == first


def test_killed_between_outbox_and_log_the_line_is_completed_once(
    door: Door, tmp_path: Path
) -> None:
    asked, unlogged = request(), reply(request())
    door.outbox.store(asked.step, passage(asked, unlogged), unlogged)
    assert statuses(door) == []
    assert again(door) == unlogged
    assert again(door) == unlogged
    assert statuses(door) == ["done"]


def test_a_restarted_site_adds_the_line_that_it_was_killed_before(
    door: Door, tmp_path: Path
) -> None:
    """The run may never be resumed, and the log would then seem to lack a line for ever."""
    answer(door)
    asked = request(run="run-2")
    door.outbox.store(asked.step, passage(asked, reply(asked)), reply(asked))
    with pytest.raises(CorruptFile, match="lacks 1 of the 2"):
        verify(door.log, door.outbox)
    for _ in range(2):
        door = Door(tmp_path, "north", Limits())
        assert [line.run for line in door.log] == ["run-1", "run-2"]
        verify(door.log, door.outbox)


def test_a_line_is_looked_for_in_the_whole_log(door: Door) -> None:
    first = answer(door, run="run-1")
    for number in range(2, 20):
        answer(door, run=f"run-{number}")
    assert again(door) == first
    assert len(statuses(door)) == 19


def test_killed_before_the_outbox_was_done_nothing_was_released(door: Door, tmp_path: Path) -> None:
    answer(door)
    next(tmp_path.rglob("*.json")).unlink()  # the line is written after the bytes
    assert door.earlier(request()) is None


def test_answers_count_against_the_limit_and_repeats_do_not(tmp_path: Path) -> None:
    door = Door(tmp_path, "north", Limits(most_rounds=2))
    answer(door, exchange=0)
    answer(door, exchange=1)
    assert door.earlier(request(exchange=1)) is not None
    with pytest.raises(RequestRefused, match="2 answers"):
        door.admit(request(exchange=2), STUDY)
    door.admit(request(run="run-2"), STUDY)


def test_a_refusal_answers_no_step(door: Door) -> None:
    asked = request()
    sent = refusal(asked, "not today")
    assert body(door, door.turn_away(asked, sent, "the disk of ward 7")) == sent
    assert door.earlier(asked) is None
    (line,) = door.log
    assert (line.status, line.problem, line.local_detail) == (
        "refused", "not today", "the disk of ward 7"
    )  # fmt: skip


def test_too_large_a_reply_leaves_no_trace(tmp_path: Path) -> None:
    door = Door(tmp_path, "north", Limits(largest_payload_mb=1e-4))
    asked = request()
    with pytest.raises(RequestRefused, match=r"at most 0\.0001 MB"):
        door.release(asked, reply(asked))
    assert door.earlier(asked) is None
    assert statuses(door) == []


def test_a_request_for_another_site_is_refused(door: Door) -> None:
    with pytest.raises(RequestRefused, match="for site south, this is north"):
        door.admit(request(site="south"), STUDY)


def test_damaged_bytes_are_not_sent(door: Door, tmp_path: Path) -> None:
    answer(door)
    next(tmp_path.rglob("*.reply")).write_bytes(b"something else")
    with pytest.raises(CorruptFile, match="a reply in this site's outbox is damaged"):
        door.earlier(request())


def test_a_damaged_line_is_not_believed(door: Door, tmp_path: Path) -> None:
    answer(door)
    next(tmp_path.rglob("*.json")).write_bytes(b"{}")
    with pytest.raises(CorruptFile, match="a line of this site's outbox"):
        door.earlier(request())


def test_nothing_leaves_that_cannot_be_chained_to_the_log(door: Door, tmp_path: Path) -> None:
    answer(door)
    with (tmp_path / "egress.jsonl").open("a") as file:
        file.write("{}\n")
    asked = request(exchange=1)
    for leave in (door.release, door.turn_away):
        with pytest.raises(CorruptFile, match="the last line of the egress log"):
            leave(asked, reply(asked))


def test_a_state_folder_that_cannot_be_written_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    asked = request()
    with pytest.raises(RequestRefused, match="records cannot be kept") as refusal_:
        Door(tmp_path / "state", "north", Limits()).release(asked, reply(asked))
    assert str(tmp_path) not in refusal_.value.problem


def owing(door: Door, value: float, round_: int, *, released: bool = True, **step: Any) -> None:
    asked = request(phase="fusion", round=round_, **step)
    door.owe(asked.step, {"w": np.full(3, value, np.float32)})
    if released:
        door.release(asked, reply(asked))


def owed(door: Door, round_: int, **step: Any) -> list[float]:
    found = door.owed(request(**({"phase": "fusion"} | step), round=round_).step)
    return [] if not found else found["w"].tolist()


def test_what_the_last_released_reply_left_out_is_owed(door: Door, tmp_path: Path) -> None:
    assert owed(door, 1) == []
    owing(door, 1.0, 1)
    owing(door, 2.0, 2, released=False)  # killed, refused at the door, or the round was missed
    assert owed(door, 1) == []  # a step that is asked again begins where it began
    assert owed(door, 2) == owed(door, 3) == owed(door, 10) == [1.0, 1.0, 1.0]
    owing(door, 3.0, 9)
    assert owed(Door(tmp_path, "north", Limits()), 10) == [3.0, 3.0, 3.0]


def test_another_run_or_phase_owes_nothing(door: Door) -> None:
    owing(door, 1.0, 1)
    assert owed(door, 2, run="run-2") == owed(door, 2, phase="booster") == []


def test_a_later_round_drops_all_but_what_it_owes(door: Door, tmp_path: Path) -> None:
    for number in (1, 2, 10):
        owing(door, number, number)
    door.outbox.confirm(request(phase="fusion", round=11).step)
    assert [path.stem for path in tmp_path.rglob("*.owed")] == ["fusion-10-0"]
    assert owed(door, 11) == [10.0, 10.0, 10.0]
    door.outbox.confirm(request(phase="booster", round=1).step)
    assert list(tmp_path.rglob("*.owed")) == []


def test_what_is_owed_is_forgotten_with_the_replies(door: Door) -> None:
    owing(door, 1.0, 1)
    assert door.outbox.forget_replies() == 2
    assert owed(door, 2) == []


def test_a_damaged_debt_is_told(door: Door, tmp_path: Path) -> None:
    owing(door, 1.0, 1)
    (path,) = tmp_path.rglob("*.owed")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFile, match="remove the file"):
        owed(door, 2)
