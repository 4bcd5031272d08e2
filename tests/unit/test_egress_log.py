import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from client.egress.log import EgressLog, Passage, passage
from common.asks import BoosterTold
from common.errors import CorruptFile
from tests.support.exchanges import FIT_TOLD, STUDY, fit_request, refusal, reply, request


@pytest.fixture
def log(tmp_path: Path) -> EgressLog:
    return EgressLog(tmp_path / "state" / "egress.jsonl")


def line(round_: int = 1) -> Passage:
    asked = request(round=round_)
    return passage(asked, reply(asked))


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
def test_a_damaged_line_is_named(log: EgressLog, damage: str) -> None:
    log.append(line(1))
    with log.path.open("a") as file:
        file.write(f"{damage}\n")
    log.append(line(3))
    with pytest.raises(CorruptFile, match="line 2"):
        list(log)
