import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from client.egress.audit import verify
from client.egress.log import EgressLog, Passage, passage
from client.egress.outbox import Outbox
from common.asks import BoosterTold
from common.errors import CorruptFile
from common.log_head import EMPTY, LogHead
from tests.support.exchanges import FIT_TOLD, STUDY, fit_request, refusal, reply, request


@pytest.fixture
def log(tmp_path: Path) -> EgressLog:
    return EgressLog(tmp_path / "state" / "egress.jsonl")


def line(round_: int = 1) -> Passage:
    asked = request(round=round_)
    return passage(asked, reply(asked))


def line_of(log: EgressLog, number: int) -> Passage:
    raw = json.loads(log.path.read_bytes().splitlines()[number - 1])
    return Passage.model_validate({k: v for k, v in raw.items() if k not in ("number", "previous")})


def head_file(log: EgressLog) -> Path:
    return log.path.parent / "egress.head"


def test_a_line_tells_what_the_bytes_hold() -> None:
    asked = fit_request("tails", phase="backbones", round=4)
    arrays = {"w": np.ones((3, 5), np.float16), "b": np.ones(2, np.float16), "n": np.array([1])}
    sent = reply(asked, FIT_TOLD, arrays)
    found = passage(asked, sent)
    assert found.study == STUDY.digest
    assert (found.run, found.phase, found.round, found.exchange) == ("run-1", "backbones", 4, 0)
    assert (found.site, found.ask, found.status) == ("north", "fit", "done")
    assert (found.arrays, found.dtypes, found.elements) == (3, ("float16", "int64"), 18)
    assert found.bytes == len(sent)
    assert found.sha256 == hashlib.sha256(sent).hexdigest()
    assert found.request == asked.digest
    assert found.told is not None
    assert found.told["loss_sum"] == 1.5


def test_a_refusal_holds_no_arrays() -> None:
    asked = request()
    found = passage(asked, refusal(asked, "too few"), "ward 7")
    assert (found.status, found.arrays, found.elements, found.told) == ("refused", 0, 0, None)
    assert (found.problem, found.local_detail) == ("too few", "ward 7")


def test_lines_come_back_in_order_and_equal(log: EgressLog) -> None:
    lines = [line(1), line(2), line(3)]
    for one in lines:
        log.append(one)
    assert list(log) == lines
    assert lines[1] in log
    assert line(4) not in log


def test_a_log_that_does_not_exist_is_empty(log: EgressLog) -> None:
    assert list(log) == []


def test_each_line_is_one_json_object(log: EgressLog) -> None:
    log.append(line())
    (text,) = log.path.read_text().splitlines()
    assert json.loads(text)["told"] == BoosterTold(examples=7).model_dump()


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_cut_off_last_line_is_passed_over_and_replaced(log: EgressLog, kept: int) -> None:
    first, second, third = line(1), line(2), line(3)
    log.append(first)
    whole = log.path.stat().st_size
    log.append(second)
    text = log.path.read_bytes()
    log.path.write_bytes(text[: whole + kept] if kept > 0 else text[:kept])
    assert list(log) == [first]
    log.append(third)
    assert list(log) == [first, third]


def test_the_only_line_may_be_cut_off(log: EgressLog) -> None:
    log.path.parent.mkdir()
    log.path.write_bytes(b'{"time"')
    assert list(log) == []
    log.append(line())
    assert len(list(log)) == 1


@pytest.mark.parametrize("damage", ["{}", '{"time": "now"}', "nonsense", "[]"])
def test_a_damaged_line_is_named_and_no_line_follows_it(log: EgressLog, damage: str) -> None:
    log.append(line(1))
    with log.path.open("a") as file:
        file.write(f"{damage}\n")
    with pytest.raises(CorruptFile, match="line 2"):
        list(log)
    with pytest.raises(CorruptFile, match="the last line"):
        log.append(line(3))
    assert log.path.read_text().endswith(f"\n{damage}\n")


def test_each_line_holds_its_number_and_the_digest_of_the_line_before(log: EgressLog) -> None:
    heads = [log.append(line(number)) for number in (1, 2, 3)]
    stored = log.path.read_bytes().splitlines()
    before = "0" * 64
    for number, (raw, head) in enumerate(zip(stored, heads, strict=True), start=1):
        fields = json.loads(raw)
        assert (fields["number"], fields["previous"]) == (number, before)
        before = hashlib.sha256(raw).hexdigest()
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(canonical.encode()).hexdigest() == before
        assert (head.lines, head.digest) == (number, before)
    assert log.head == log.kept_head == heads[-1]
    assert [one.stored for one in log.lines()] == stored
    assert [one.head for one in log.lines()] == heads


def test_an_empty_log_has_a_head(log: EgressLog) -> None:
    assert log.head == EMPTY == LogHead(lines=0, digest="0" * 64)
    assert log.kept_head is None


def test_lines_of_another_process_are_followed(log: EgressLog) -> None:
    other = EgressLog(log.path)
    for number, writer in enumerate((log, other, other, log), start=1):
        assert writer.append(line(number)).lines == number
        assert log.head == other.head
    verify(log, Outbox(log.path.parent))


def test_the_last_line_is_found_however_long_lines_are(log: EgressLog) -> None:
    for size in (10, 70_000, 200_000, 10):
        log.append(line().model_copy(update={"problem": "ü" * size}))
        assert log.head == list(log.lines())[-1].head
    with log.path.open("ab") as file:
        file.write(b"x" * 150_000)  # cut off
    assert log.append(line(2)).lines == 5
    assert len(list(log)) == 5


def test_the_newest_lines_alone_are_read(log: EgressLog) -> None:
    """A long log costs no more than a short one: what stands far behind is not looked at."""
    log.append(line(1))
    filler = line().model_copy(update={"problem": "x" * 70_000})
    log.append(filler)
    log.append(line(3))
    text = log.path.read_bytes()
    log.path.write_bytes(b"#" + text[1:])
    assert log.append(line(4)).lines == 4
    assert line_of(log, 4) in log


def test_a_head_one_line_behind_catches_up(log: EgressLog) -> None:
    """A process was killed between the line and its head; this may happen more than once."""
    log.append(line(1))
    kept = head_file(log).read_bytes()
    for number in (2, 3):
        log.append(line(number))
    head_file(log).write_bytes(kept)
    assert log.append(line(4)) == log.kept_head


@pytest.mark.parametrize("damage", ["shorter", "rewritten", "garbled"])
def test_a_head_that_the_log_does_not_hold_stays_as_evidence(log: EgressLog, damage: str) -> None:
    for number in (1, 2, 3):
        log.append(line(number))
    if damage == "shorter":
        log.path.write_bytes(b"".join(log.path.read_bytes().splitlines(keepends=True)[:1]))
    elif damage == "rewritten":
        log.path.unlink()
    else:
        head_file(log).write_text("{}")
    kept = head_file(log).read_bytes()
    for number in range(5, 12):  # also once the log is longer than it was
        log.append(line(number))
        assert head_file(log).read_bytes() == kept
    with pytest.raises(CorruptFile, match=r"line 3 .*is not the one|egress\.head"):
        verify(log, Outbox(log.path.parent))
