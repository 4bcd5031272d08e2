from typing import Any, get_args

import pytest

from common.asks import Part
from common.planned import planned_exchanges
from common.speed import (
    EXCHANGE_S,
    SUPPOSED,
    SUPPOSED_MS,
    Kinds,
    Speed,
    Timing,
    facts_of_record,
    phase_seconds,
    speed_of,
)
from common.study.phases import BoosterMode, BoosterPhase
from common.study.schema import Study
from tests.support.small import small_study

STUDY = small_study()
IMAGES: dict[Part, int] = {"train": 100, "validation": 20, "test": 30}


def census(train: int) -> dict[str, Any]:
    return {
        "kind": "census",
        "examples": {"train": {"Benign": train}, "validation": {"Pro": 20}, "test": {"Pre": 30}},
        "withheld": {}, "fewest_examples": 5, "groups": {}, "grouped_by": "patient",
        "excluded": {}, "weights": {}, "software": {}, "numerics": {},
    }  # fmt: skip


def exchange(
    phase: str, round: int, exchange: int, seconds: float, **work: float
) -> dict[str, Any]:
    return {
        "event": "exchange", "phase": phase, "round": round, "exchange": exchange,
        "accepted": list(work), "seconds": seconds, "work_s": work,
    }  # fmt: skip


RECORD: list[dict[str, Any]] = [
    exchange("census", 1, 0, 10.0, north=3.0, south=1.5),
    {"event": "round", "phase": "census", "round": 1,
     "census": {"north": census(100), "south": census(50)}},
    exchange("backbones", 0, 0, 28.0, north=20.0, south=6.0),
    exchange("booster", 1, 0, 5.0, north=0.0, south=0.1),
    {"event": "round", "phase": "backbones", "round": 0},
]  # fmt: skip


def boosted(mode: BoosterMode) -> Study:
    phases = tuple(
        BoosterPhase(mode=mode) if phase.name == "booster" else phase for phase in STUDY.phases
    )
    return STUDY.model_copy(update={"phases": phases})


def test_everything_that_a_study_asks_for_has_a_supposed_speed() -> None:
    studies = [boosted(mode) for mode in get_args(BoosterMode)]
    kinds = {kind for study in studies for _, kind in Kinds.of(study).kinds.values()}
    assert kinds == set(SUPPOSED_MS)
    assert len(Kinds.of(STUDY).kinds) == len(list(planned_exchanges(STUDY)))


def test_a_record_tells_what_sites_hold_and_how_fast_they_are() -> None:
    facts = facts_of_record(RECORD, STUDY)
    assert facts.images["south"] == {"train": 50, "validation": 20, "test": 30}
    assert facts.timings["north"] == [
        Timing("census", 150, 3.0), Timing("moments backbones", 200, 20.0),
    ]  # fmt: skip
    assert facts.timings["south"][-1] == Timing("booster", 100, 0.1)
    assert facts.exchange_s == 7.0  # of 7, 8 and 4.9
    assert not facts.is_rehearsal
    assert facts_of_record([{**RECORD[0], "rehearsal": True}], STUDY).is_rehearsal


def test_a_record_of_an_older_version_tells_nothing_of_speed() -> None:
    older = [{k: v for k, v in event.items() if k != "work_s"} for event in RECORD]
    facts = facts_of_record(older, STUDY)
    assert (facts.timings, facts.exchange_s) == ({"north": [], "south": []}, None)


def test_the_largest_amount_counts_and_of_equal_ones_the_slowest() -> None:
    timings = [(100, 1.0), (10, 5.0), (100, 2.0)]
    speed = speed_of([*(Timing("census", *one) for one in timings), Timing("booster", 50, 1.0)])
    assert speed.ms["census"] == pytest.approx(20)
    assert speed.ms["booster"] == pytest.approx(20)
    assert speed.ms["fit tails"] == SUPPOSED_MS["fit tails"]
    assert speed.is_measured
    assert speed_of([]) is SUPPOSED
    assert not SUPPOSED.is_measured


def test_an_exchange_waits_for_the_slowest_site() -> None:
    fast = Speed(dict.fromkeys(SUPPOSED_MS, 1.0), is_measured=True)
    slow = Speed(dict.fromkeys(SUPPOSED_MS, 10.0), is_measured=True)
    whole, works = phase_seconds(STUDY, {"a": fast, "b": slow}, {"a": IMAGES, "b": IMAGES})
    assert works["a"]["census"] == pytest.approx(0.15)
    assert whole["census"] == pytest.approx(EXCHANGE_S + 1.5)
    assert works["b"]["evaluation"] == pytest.approx(0.5)  # 30 and 20 images
    assert whole["evaluation"] == pytest.approx(2 * EXCHANGE_S + 0.5)
    assert set(whole) == {one.phase for one in planned_exchanges(STUDY)}
