"""Sites that are away for a while, and requests that are lost on the way."""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from common.signing import open_signed, sign_request
from common.troubles import MEANING, Trouble
from common.wire import decode_header
from tests.support.keys import admitted_keys, node_public_key
from tests.support.town import SITES, Bench
from tests.support.workers import KEY

ATTEMPTS = 5
RAISED = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
AT_ONCE = 4  # looks at most, where nobody is waited for; with grace there is one in 10 ms


def test_a_site_that_is_away_is_waited_for_after_the_quorum_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grace_s=0.4)
    bench.town.away = {"south"}
    began = time.monotonic()
    assert bench.run() == ["east", "north"]
    assert time.monotonic() - began >= 0.4
    assert bench.missing == {"south": "it is not connected"}
    for _ in range(2):
        assert bench.run() == ["east", "north"]
        assert bench.town.looks <= AT_ONCE
        assert bench.missing == {"south": "it is not connected"}


def test_without_grace_a_site_that_is_away_is_not_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.town.away = {"south"}
    assert bench.run() == ["east", "north"]
    assert bench.town.looks <= AT_ONCE


def test_a_site_that_comes_back_within_the_grace_is_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grace_s=60.0)
    bench.town.away, bench.town.back_after = {"south"}, {"south": 20}
    assert bench.run() == list(SITES)
    assert bench.town.looks == 21
    assert bench.missing == {}


def test_a_site_that_has_answered_again_is_waited_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grace_s=0.3)
    bench.town.away = {"south"}
    bench.run()
    bench.town.away = set()
    assert bench.run() == list(SITES)
    bench.town.away, bench.town.back_after = {"south"}, {"south": 12}
    assert bench.run() == list(SITES)
    assert bench.town.looks == 13


def test_a_site_that_was_away_does_not_keep_another_from_being_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grace_s=0.3)
    bench.town.away = {"south"}
    bench.run()
    bench.town.away, bench.town.back_after = {"south", "north"}, {"north": 9}
    assert bench.run() == ["east", "north"]  # below the quorum until then: no question of grace
    assert bench.town.looks <= 10 + AT_ONCE
    bench.town.away, bench.town.back_after = {"south", "east"}, {"south": 0, "east": 12}
    assert bench.run() == list(SITES)


def test_a_site_that_is_lost_late_has_the_whole_grace_to_come_back(tmp_path: Path) -> None:
    """The quorum may have answered hours before."""
    bench = Bench(tmp_path, grace_s=1.0)
    bench.town.late_until = {"north": time.monotonic() + 1.2}
    bench.town.errors = {"north": errors("", 1, ErrorCode.NODE_UNAVAILABLE)}
    bench.town.lost_for = {"north": 8}
    assert bench.run() == list(SITES)
    assert len(bench.town.asked("north")) == 2
    assert bench.town.looks >= 8


def errors(reason: str, number: int, code: int = RAISED) -> list[Error]:
    return [Error(code, reason) for _ in range(number)]


@pytest.mark.parametrize("trouble", Trouble)
def test_what_passes_is_asked_again_up_to_the_limit_and_nothing_else_is(
    tmp_path: Path, trouble: Trouble
) -> None:
    bench = Bench(tmp_path)
    bench.town.errors = {"north": errors(trouble.value, 99)}
    assert bench.run() == ["east", "south"]
    asked = bench.town.asked("north")
    passes = trouble in (Trouble.BUSY, Trouble.STOPPING, Trouble.AWAY, Trouble.NO_RECORDS)
    assert len(asked) == (ATTEMPTS if passes else 1)
    assert len(bench.events("again")) == len(asked) - 1
    assert bench.missing == {"north": f"no reply: {MEANING[trouble].problem}"}
    assert len({decode_header(data).digest for data in asked}) == 1
    assert [len(bench.town.asked(site)) for site in ("east", "south")] == [1, 1]


@pytest.mark.parametrize(
    ("code", "times"),
    [
        (ErrorCode.NODE_UNAVAILABLE, ATTEMPTS),
        (ErrorCode.REPLY_MESSAGE_UNAVAILABLE, ATTEMPTS),
        (ErrorCode.CLIENT_APP_CRASHED, ATTEMPTS),
        (ErrorCode.MESSAGE_UNAVAILABLE, ATTEMPTS),
        (ErrorCode.LOAD_CLIENT_APP_EXCEPTION, 1),
        (RAISED, 1),
        (4711, 1),
    ],
)
def test_of_flowers_own_errors_too_only_some_pass(tmp_path: Path, code: int, times: int) -> None:
    bench = Bench(tmp_path)
    bench.town.errors = {"north": errors("", 99, code)}
    assert bench.run() == ["east", "south"]
    assert len(bench.town.asked("north")) == times


def test_what_was_lost_below_the_limit_counts_when_it_arrives(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.town.errors = {site: errors("busy", ATTEMPTS - 1) for site in SITES}
    assert bench.run() == list(SITES)
    assert bench.missing == {}
    (event,) = bench.events("exchange")
    assert event["bytes_down"] == {site: sum(map(len, bench.town.asked(site))) for site in SITES}
    bench.town.errors = {"north": errors("busy", ATTEMPTS - 1)}
    assert bench.run() == list(SITES)  # each exchange counts for itself


def test_every_request_is_sealed_those_that_are_sent_again_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seal=partial(sign_request, key=KEY, launch=77))
    bench.town.errors = {"north": errors("busy", 2)}
    bench.town.forgetful = {"south"}
    assert bench.run() == list(SITES)
    assert [len(bench.town.asked(site)) for site in SITES] == [1, 3, 2]
    for site in SITES:
        for data in bench.town.asked(site):
            opened = open_signed(data, KEY.public_key())
            assert (opened.launch, opened.request.step.site) == (77, site)


def test_a_node_with_another_key_is_asked_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keys=admitted_keys(east=1, north=2, south=3))
    bench.town.public_keys = {
        "east": node_public_key(1),
        "north": node_public_key(99),
        "south": node_public_key(3, "ssh"),
    }
    assert bench.run() == ["east", "south"]
    assert bench.missing == {"north": "it is not connected"}
    assert bench.town.asked("north") == []
    bench.town.public_keys["north"] = node_public_key(2)
    assert bench.run() == list(SITES)


def test_a_site_whose_worker_is_away_is_asked_once_in_every_later_exchange(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.town.errors = {"north": errors("away", 99)}
    assert bench.run() == ["east", "south"]
    assert len(bench.town.asked("north")) == ATTEMPTS
    assert bench.run() == ["east", "south"]
    assert len(bench.town.asked("north")) == ATTEMPTS + 1
    bench.town.errors = {}
    assert bench.run() == list(SITES)  # and has all attempts again
    bench.town.errors = {"north": errors("away", ATTEMPTS - 1)}
    assert bench.run() == list(SITES)


def test_a_silent_site_holds_an_exchange_up_to_its_deadline_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, deadline_s=0.6, grace_s=0.2)
    bench.town.late_until = {"north": time.monotonic() + 1.2}
    spent = []
    for _ in range(2):
        began = time.monotonic()
        assert bench.run() == ["east", "south"]
        spent.append(time.monotonic() - began)
    assert spent[0] >= 0.6 > spent[1]
    time.sleep(max(0.0, bench.town.late_until["north"] - time.monotonic()))
    assert bench.run() == list(SITES)


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_a_reply_that_cannot_be_unpacked_costs_that_reply_only(
    tmp_path: Path, error: type[Exception]
) -> None:
    bench = Bench(tmp_path)
    pull = bench.town.pull_messages

    def spoilt(message_ids: Iterable[str]) -> Iterable[Message]:
        found = list(pull(message_ids))
        if any(m.metadata.src_node_id == bench.town.numbers["north"] for m in found):
            raise error
        return found

    bench.town.pull_messages = spoilt  # type: ignore[method-assign]
    assert bench.run() == ["east", "south"]
    (event,) = bench.events("rejected")
    assert error.__name__ in event["problem"]
