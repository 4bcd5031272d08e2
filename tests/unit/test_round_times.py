from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.round_times import (
    kind_of,
    left_s,
    seconds_by_kind,
    seconds_of_rounds,
    steps_of,
    worked_s,
)
from tests.support.launched import tiny_study

STUDY = tiny_study()


def exchange(phase: str, round: int, number: int, seconds: float) -> dict[str, Any]:
    where = {"phase": phase, "round": round, "exchange": number}
    return {"event": "exchange", **where, "seconds": seconds}


def over(phase: str, round: int) -> dict[str, Any]:
    return {"event": "round", "phase": phase, "round": round}


def test_the_steps_of_a_study_are_its_rounds_in_order() -> None:
    assert steps_of(STUDY) == [
        ("census", 1),
        ("backbones", 0), ("backbones", 1), ("backbones", 2), ("backbones", 3),
        ("fusion", 0), ("fusion", 1), ("fusion", 2),
        ("booster", 1), ("booster", 2),
        ("calibration", 1), ("evaluation", 1),
    ]  # fmt: skip


def test_rounds_of_one_kind_do_the_same_work() -> None:
    kinds = [kind_of(STUDY, *step) for step in steps_of(STUDY)]
    assert kinds == [
        "census", "backbones, moments", "backbones, heads", "backbones, heads", "backbones, tails",
        "fusion, moments", "fusion", "fusion", "booster", "booster", "calibration", "evaluation",
    ]  # fmt: skip


def test_a_rounds_seconds_are_those_of_its_exchanges_once_each() -> None:
    events = [
        exchange("booster", 1, 0, 5.0), exchange("booster", 1, 1, 7.0),
        {"event": "launched"},  # stopped within the round, and resumed
        exchange("booster", 1, 0, 2.0), exchange("booster", 1, 1, 3.0), over("booster", 1),
        exchange("booster", 2, 0, 4.0),
    ]  # fmt: skip
    assert seconds_of_rounds(events) == {("booster", 1): 5.0}


def test_a_kind_takes_the_median_of_its_rounds_and_other_records_fill_in() -> None:
    own = [
        event
        for number, seconds in ((1, 10.0), (2, 30.0))
        for event in (exchange("backbones", number, 0, seconds), over("backbones", number))
    ]
    earlier = [
        exchange("backbones", 1, 0, 99.0), over("backbones", 1),
        exchange("backbones", 3, 0, 50.0), over("backbones", 3),
    ]  # fmt: skip
    assert seconds_by_kind(STUDY, own, earlier) == {
        "backbones, heads": 20.0,
        "backbones, tails": 50.0,
    }


def test_what_is_left_is_the_sum_of_the_rounds_ahead() -> None:
    kinds = {"booster": 10.0, "calibration": 4.0, "evaluation": 6.0}
    assert left_s(STUDY, ("booster", 1), 3.0, kinds) == 10 + 10 + 4 + 6 - 3
    assert left_s(STUDY, ("booster", 2), 300.0, kinds) == 4 + 6  # it takes longer than before
    assert left_s(STUDY, ("release", 0), 5.0, kinds) == 0.0
    assert left_s(STUDY, ("fusion", 2), 0.0, kinds) is None
    assert left_s(STUDY, ("census", 1), 0.0, {}) is None


def test_pauses_between_launches_are_no_work() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def at(seconds: float, event: str = "round") -> dict[str, Any]:
        return {"time": (start + timedelta(seconds=seconds)).isoformat(), "event": event}

    events = [at(0, "launched"), at(10), at(1000, "launched"), at(1005), at(1007)]
    assert worked_s(events, None) == 17.0
    assert worked_s(events, start + timedelta(seconds=1020)) == 30.0
    assert worked_s([], start) == 0.0


@pytest.mark.parametrize("events", [[], [{"event": "round"}], [{"event": "late", "phase": "x"}]])
def test_a_record_without_rounds_tells_no_times(events: list[dict[str, Any]]) -> None:
    assert set(seconds_by_kind(STUDY, events).values()) <= {0}
