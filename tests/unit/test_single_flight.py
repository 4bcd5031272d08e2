import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from client.single_flight import Flight, SingleFlight
from common.asks import BoosterAsk
from common.errors import DataError
from common.signing import Signed
from common.troubles import Trouble, Unanswered
from common.wire import WireError, decode_header, encode_request
from tests.support.exchanges import census_request, request
from tests.support.processes import wait_until
from tests.support.workers import PATIENCE_S, Gate, signed


@pytest.fixture
def gate() -> Gate:
    return Gate(reply=lambda data: decode_header(data).step.name.encode())


@pytest.fixture
def flight(gate: Gate) -> Iterator[SingleFlight]:
    made = SingleFlight(gate)
    gate.pulse = made.pulse
    yield made
    gate.open()
    assert made.close(PATIENCE_S)


def ended(flown: Flight) -> Flight:
    assert flown.ended.wait(PATIENCE_S)
    return flown


def trouble_of(flown: Flight) -> Trouble:
    with pytest.raises(Unanswered) as raised:
        ended(flown).result()
    return raised.value.trouble


def refused(flight: SingleFlight, asked: Signed) -> Trouble:
    with pytest.raises(Unanswered) as raised:
        flight.submit(asked)
    return raised.value.trouble


def test_the_same_request_attaches_and_is_worked_on_once(flight: SingleFlight, gate: Gate) -> None:
    with ThreadPoolExecutor(8) as carriers:
        flown = list(carriers.map(flight.submit, [signed() for _ in range(8)]))
    assert len(set(map(id, flown))) == 1
    gate.wait_begun()
    assert flight.submit(signed(launch=7)) is flown[0]  # a launch later, still the same question
    gate.open()
    assert {ended(one).result() for one in flown} == {request().step.name.encode()}
    assert gate.given == [encode_request(request())]
    assert flight.replies == 1


def test_asked_again_after_its_end_it_is_work_again(flight: SingleFlight, gate: Gate) -> None:
    gate.open()
    one, two = (ended(flight.submit(signed())) for _ in range(2))
    assert one is not two
    assert one.result() == two.result()
    assert (len(gate.given), flight.replies) == (2, 2)


NEWER = [
    signed(request(exchange=1)),
    signed(request(round=2)),
    signed(request(phase="evaluation")),
    signed(request(round=0), launch=2),
    signed(request(run="run-2"), launch=2),
    signed(request(BoosterAsk(level=1)), launch=2),  # a run that goes on may ask a step otherwise
]
NOT_NEWER = [
    signed(request(BoosterAsk(level=1))),  # another question for the same step
    signed(request(round=0)),
    signed(census_request(round=9)),
    signed(request(run="run-2", round=5)),
    signed(request(round=5, phase="evaluation"), launch=0),
    signed(request(study="0" * 64, round=5)),
]


@pytest.mark.parametrize("newer", NEWER)
def test_a_newer_request_takes_the_place_at_the_next_pulse(
    flight: SingleFlight, gate: Gate, newer: Signed
) -> None:
    first = flight.submit(signed())
    gate.wait_begun()
    second = flight.submit(newer)
    assert trouble_of(first) == Trouble.SUPERSEDED
    gate.wait_begun()
    assert flight.current is second
    assert refused(flight, signed(launch=0)) == Trouble.BUSY  # the one that it took the place of
    gate.open()
    assert ended(second).result() == newer.request.step.name.encode()
    assert flight.replies == 1


@pytest.mark.parametrize("other", NOT_NEWER)
def test_any_other_request_finds_the_site_busy(
    flight: SingleFlight, gate: Gate, other: Signed
) -> None:
    first = flight.submit(signed())
    gate.wait_begun()
    assert refused(flight, other) == Trouble.BUSY
    gate.open()
    assert ended(first).result() == first.step.name.encode()
    assert ended(flight.submit(other)).reply is not None  # free again


def test_of_three_in_quick_succession_the_newest_is_answered() -> None:
    may_stop = threading.Event()
    begun = threading.Event()
    given = []

    def work(data: bytes) -> bytes:
        given.append(decode_header(data).step.round)
        begun.set()
        assert may_stop.wait(PATIENCE_S)
        own.pulse()
        return b"done"

    own = SingleFlight(work)
    one = own.submit(signed(request(round=1)))
    assert begun.wait(PATIENCE_S)
    two = own.submit(signed(request(round=2)))
    three = own.submit(signed(request(round=3)))
    assert two.ended.is_set()  # at once: nobody had begun with it
    assert refused(own, signed(request(round=2))) == Trouble.BUSY
    assert own.submit(signed(request(round=3))) is three
    may_stop.set()
    assert [trouble_of(one), trouble_of(two)] == [Trouble.SUPERSEDED, Trouble.SUPERSEDED]
    assert ended(three).result() == b"done"
    assert given == [1, 3]
    assert own.close(PATIENCE_S)


def test_a_request_that_was_superseded_may_come_back_with_a_later_launch(
    flight: SingleFlight, gate: Gate
) -> None:
    first = flight.submit(signed(launch=1))
    gate.wait_begun()
    other = flight.submit(signed(request(run="run-2"), launch=2))
    back = flight.submit(signed(launch=3))
    assert back is not first
    gate.open()
    assert trouble_of(other) == Trouble.SUPERSEDED
    assert ended(back).result() == back.step.name.encode()


def test_work_that_a_later_launch_waits_for_is_not_ended_by_an_earlier_one(
    flight: SingleFlight, gate: Gate
) -> None:
    first = flight.submit(signed(launch=1))
    gate.wait_begun()
    assert flight.submit(signed(launch=3)) is first
    assert refused(flight, signed(request(round=2), launch=1)) == Trouble.BUSY
    assert refused(flight, signed(request(run="run-2"), launch=2)) == Trouble.BUSY


def test_closing_stops_the_work_and_takes_nothing_in(flight: SingleFlight, gate: Gate) -> None:
    first = flight.submit(signed())
    gate.wait_begun()
    assert flight.close(PATIENCE_S)
    assert flight.is_closed
    assert trouble_of(first) == Trouble.STOPPING
    assert refused(flight, signed()) == Trouble.STOPPING
    assert flight.current is None


def test_closing_an_idle_one_takes_no_time(flight: SingleFlight) -> None:
    assert flight.close(PATIENCE_S)
    assert flight.close(PATIENCE_S)
    assert refused(flight, signed()) == Trouble.STOPPING


def test_closing_while_another_waits_ends_both_and_says_when_work_goes_on() -> None:
    may_stop, begun = threading.Event(), threading.Event()

    def work(data: bytes) -> bytes:
        begun.set()
        assert may_stop.wait(PATIENCE_S)
        own.pulse()
        return b"done"

    own = SingleFlight(work)
    first = own.submit(signed())
    assert begun.wait(PATIENCE_S)
    second = own.submit(signed(request(round=2)))
    assert not own.close(0.05)
    assert trouble_of(second) == Trouble.STOPPING
    assert not first.ended.is_set()
    may_stop.set()
    assert own.close(PATIENCE_S)
    assert trouble_of(first) == Trouble.SUPERSEDED  # not to be asked again: a newer one was there


class PanicException(BaseException):
    """As those libraries raise it: no Exception."""


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (ZeroDivisionError("/data/ward-7"), Trouble.FAILED),
        (MemoryError(), Trouble.FAILED),
        (DataError("4 images are gone", fix="restore them"), Trouble.NO_RECORDS),
        (PanicException("at ward.rs:7"), Trouble.FAILED),
        (WireError("part 'w' is not what its digest says", fix="x"), Trouble.NOT_A_REQUEST),
    ],
)
def test_a_failure_is_told_in_a_word_and_the_next_request_is_served(
    error: BaseException, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [error]

    def work(data: bytes) -> bytes:
        if failures:
            raise failures.pop()
        return b"done"

    own = SingleFlight(work)
    assert trouble_of(own.submit(signed())) == trouble
    assert ended(own.submit(signed())).result() == b"done"
    assert own.replies == 1
    assert own.close(PATIENCE_S)
    (entry,) = caplog.records
    is_bug = not isinstance(error, DataError | WireError)
    assert bool(entry.exc_info) == is_bug  # a bug keeps its traceback
    assert "booster, round 1 of run run-1" in entry.getMessage()


def test_pulses_and_progress_are_noted() -> None:
    seen: list[tuple[int, tuple[int, int], bool]] = []

    def work(data: bytes) -> bytes:
        current = own.current
        assert current is not None
        for number in (1, 2, 3):
            own.pulse()
            own.progress(number, 3)
            seen.append((current.beats, current.progress, current.beat >= current.since))
        return b"done"

    own = SingleFlight(work)
    own.pulse()  # nobody is at work: nothing to note
    own.progress(5, 9)
    flown = ended(own.submit(signed()))
    assert seen == [(1, (1, 3), True), (2, (2, 3), True), (3, (3, 3), True)]
    assert (flown.beats, flown.progress) == (3, (3, 3))
    assert own.close(PATIENCE_S)


def failing(data: bytes) -> bytes:
    raise ZeroDivisionError


@pytest.mark.parametrize("work", [lambda data: b"done", failing])
def test_what_has_ended_is_not_kept(
    work: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """A request may hold hundreds of megabytes, and the next may be hours away."""
    caplog.set_level(logging.CRITICAL, "leukofed.worker")  # a log entry would keep its traceback
    own = SingleFlight(work)
    left = weakref.ref(ended(own.submit(signed())))
    wait_until(lambda: gc.collect() >= 0 and left() is None, 3.0, "it is let go", every_s=0.05)
    assert own.close(PATIENCE_S)


def test_work_that_ends_without_a_further_pulse_is_answered_though_superseded() -> None:
    """Its reply was released; withheld, it would only have to be sent again."""
    begun, may_end = threading.Event(), threading.Event()

    def work(data: bytes) -> bytes:
        begun.set()
        assert may_end.wait(PATIENCE_S)
        return b"done"

    own = SingleFlight(work)
    first = own.submit(signed())
    assert begun.wait(PATIENCE_S)
    second = own.submit(signed(request(round=2)))
    may_end.set()
    assert ended(first).result() == ended(second).result() == b"done"
    assert own.close(PATIENCE_S)
