"""Heads of the sites' logs, which every reply tells: kept in the record, and held against it."""

from pathlib import Path

import pytest

from common.log_head import LogHead, split_head
from tests.support.round_bench import (
    FAULTS,
    SITES,
    Bench,
    head_of,
    raising,
    telling,
)


def test_the_head_of_each_site_that_replied_stands_in_the_record(tmp_path: Path) -> None:
    def fails_once(data: bytes) -> bytes:
        return raising(data) if split_head(data)[0].lines == 2 else data

    bench = Bench(tmp_path, faults={"north": fails_once})
    for round in (1, 2, 3):
        bench.run(round=round)
    bench.sites["south"].held.clear()
    bench.run(round=4)
    told = [event["log_heads"] for event in bench.events("exchange")]
    for number, heads in enumerate(told[:3], start=1):
        sites = ("east", "south") if number == 2 else SITES
        assert heads == {site: head_of(number).model_dump() for site in sites}
    assert told[3]["south"] == head_of(5).model_dump()  # its call for parts was a reply, too
    assert bench.events("rewound") == []


def test_a_reply_that_is_rejected_tells_its_head_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path, faults={"north": FAULTS["nan"][0], "south": FAULTS["cut"][0]})
    bench.run(quorum=1)
    (event,) = bench.events("exchange")
    assert set(event["log_heads"]) == {"east", "north"}  # of what is garbled, nothing is believed


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ((head_of(8), head_of(5)), "shorter than it was: 5 lines, after 8 in an earlier reply"),
        ((head_of(8), head_of(8, "anew")), "line 8 is not the one of an earlier reply"),
    ],
)
def test_a_log_that_went_backwards_is_noted_and_the_run_goes_on(
    tmp_path: Path, heads: tuple[LogHead, LogHead], words: str
) -> None:
    fault = telling(*heads, head_of(9), head_of(9))  # the last: an exchange that was held again
    bench = Bench(tmp_path, faults={"north": fault})
    for round in (1, 2, 3, 4):
        assert bench.run(round=round) == list(SITES)
    (event,) = bench.events("rewound")
    assert (event["site"], event["round"]) == ("north", 2)
    assert words in event["problem"]
    assert "leukofed-site log --verify" in event["fix"]
    assert f"north, fusion, round 2: rewound: {event['problem']}" in bench.shown.getvalue()


def test_a_log_that_was_cut_while_the_coordinator_was_stopped_is_noted(tmp_path: Path) -> None:
    Bench(tmp_path, faults={"north": telling(head_of(8))}).run()
    again = Bench(tmp_path, faults={"north": telling(head_of(7))})
    assert again.run(round=2) == list(SITES)
    assert [event["site"] for event in again.events("rewound")] == ["north"]
