"""The carrier's patience with its worker, over a real socket."""

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest

from client.relay import PAUSES_S
from client.relay import relay as patient_relay
from common.digests import digest_arrays
from common.troubles import Trouble, Unanswered
from common.wire import encode_request
from common.worker_pb2 import Piece
from tests.support.exchanges import request
from tests.support.workers import PATIENCE_S, Gate, Handle, Worker, answering, message


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="lkf-"))  # a socket's path is short
    yield made
    shutil.rmtree(made)


@pytest.fixture
def carriers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


# As the carrier's, but for how long it pauses: 1 s, and 5 s where the worker is at other work.
relay = partial(patient_relay, pauses_s=dict.fromkeys(PAUSES_S, 0.05))


def trouble_of(relayed: Callable[[], bytes]) -> Trouble:
    with pytest.raises(Unanswered) as raised:
        relayed()
    return raised.value.trouble


@pytest.mark.parametrize("size", [0, 1, 1 << 20, 3 << 20, 30_000_000])
def test_a_reply_arrives_as_it_was_given(size: int) -> None:
    reply = os.urandom(size)
    with Worker(lambda data: reply) as worker:
        assert relay(message(), worker.socket) == reply


def test_every_piece_is_a_sign_of_life() -> None:
    signs: list[None] = []
    with Worker(lambda data: bytes(5 << 20)) as worker:
        relay(message(), worker.socket, pulse=lambda: signs.append(None))
    assert len(signs) > 2  # the attempt, and more than one piece


def test_a_large_request_arrives_as_it_was_sent() -> None:
    arrays = {"w": np.random.default_rng(3).random(3_700_001)}
    asked = request(parts={"model": digest_arrays(arrays)})
    asked = replace(asked, arrays={"model": arrays})
    sent = encode_request(asked)
    assert len(sent) > 29_000_000
    with Worker(lambda data: hashlib.sha256(data).digest()) as worker:
        assert relay(message(asked), worker.socket) == hashlib.sha256(sent).digest()


def test_slow_work_that_makes_progress_is_waited_for() -> None:
    def work(data: bytes) -> bytes:
        for _ in range(20):
            time.sleep(0.05)
            worker.flight.pulse()
        return b"done"

    with Worker(work) as worker:
        assert relay(message(), worker.socket, stalled_s=0.7) == b"done"


def test_work_without_progress_is_given_up() -> None:
    gate = Gate()
    with Worker(gate) as worker:
        gate.pulse = lambda: None
        began = time.monotonic()
        assert trouble_of(lambda: relay(message(), worker.socket, stalled_s=0.3)) == "stalled"
        assert 0.3 <= time.monotonic() - began < PATIENCE_S
        gate.open()
        assert relay(message(), worker.socket) == b"done"  # the worker is none the worse for it


def test_a_worker_that_does_not_run_is_waited_for_and_then_given_up(folder: Path) -> None:
    began = time.monotonic()
    found = trouble_of(lambda: relay(message(), folder / "worker.sock", away_s=0.2))
    assert found == Trouble.AWAY
    assert 0.2 <= time.monotonic() - began < PATIENCE_S


def test_a_worker_that_starts_in_time_is_handed_the_request(carriers: ThreadPoolExecutor) -> None:
    gate = Gate()
    gate.open()
    with Worker(gate) as worker:
        worker.stop()
        relayed = carriers.submit(relay, message(), worker.socket)
        threading.Event().wait(0.2)
        assert not relayed.done()
        worker.start()
        assert relayed.result(PATIENCE_S) == b"done"
    assert gate.given == [encode_request(request())]


@pytest.mark.parametrize("dies", [True, False])
def test_a_worker_that_is_restarted_is_handed_the_request_again(
    carriers: ThreadPoolExecutor, dies: bool
) -> None:
    """It is stopped; or it dies, after longer without progress than a worker may be away."""
    away_s = 1.0 if dies else 120.0
    gate = Gate()
    with Worker(gate) as worker:
        pulse = gate.pulse
        gate.pulse = lambda: None  # no sign of life but the first, that it was taken in
        relayed = carriers.submit(relay, message(), worker.socket, away_s=away_s)
        gate.wait_begun()
        if dies:
            threading.Event().wait(away_s + 0.1)
            worker.cut()
        gate.pulse = pulse
        worker.stop()
        threading.Event().wait(0.1)
        assert not relayed.done()
        worker.start()
        gate.wait_begun()
        gate.open()
        assert relayed.result(PATIENCE_S) == b"done"
        assert worker.flight.replies == 1
    assert gate.given == 2 * [encode_request(request())]


def test_a_worker_that_does_not_come_back_is_given_up(carriers: ThreadPoolExecutor) -> None:
    gate = Gate()
    with Worker(gate) as worker:
        relayed = carriers.submit(relay, message(), worker.socket, away_s=0.2)
        gate.wait_begun()
        worker.stop()
        with pytest.raises(Unanswered) as raised:
            relayed.result(PATIENCE_S)
    assert raised.value.trouble == Trouble.AWAY


def test_half_a_reply_is_not_taken_for_a_whole_one(carriers: ThreadPoolExecutor) -> None:
    """The worker dies while its reply comes down; the next one gives it from the beginning."""
    reply = os.urandom(5_000_000)
    given = threading.Event()

    def give_half(pieces: Iterator[Piece], context: grpc.ServicerContext) -> Iterator[Piece]:
        list(pieces)
        yield Piece(data=reply[: 1 << 20])
        given.set()
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    with Worker(lambda data: reply) as worker:
        worker.stop()
        with answering(worker.socket, give_half):
            relayed = carriers.submit(relay, message(), worker.socket)
            assert given.wait(PATIENCE_S)
        worker.start()
        assert relayed.result(PATIENCE_S) == reply


def turning_away(trouble: Trouble, asked: list[bytes]) -> Handle:
    def turn_away(pieces: Iterator[Piece], context: grpc.ServicerContext) -> Iterator[Piece]:
        asked.append(b"".join(piece.data for piece in pieces))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, trouble.value)
        yield Piece()

    return turn_away


PASSING = {Trouble.AWAY, Trouble.STOPPING, Trouble.BUSY}


@pytest.mark.parametrize("trouble", sorted(set(Trouble) - PASSING))
def test_the_workers_own_word_is_believed(trouble: Trouble, folder: Path) -> None:
    asked: list[bytes] = []
    with answering(folder / "w.sock", turning_away(trouble, asked)):
        assert trouble_of(lambda: relay(message(), folder / "w.sock")) == trouble
    assert asked == [message()]


@pytest.mark.parametrize("trouble", sorted(PASSING))
def test_what_passes_is_waited_out_and_then_believed(trouble: Trouble, folder: Path) -> None:
    asked: list[bytes] = []
    with answering(folder / "w.sock", turning_away(trouble, asked)):
        assert trouble_of(lambda: relay(message(), folder / "w.sock", away_s=0.2)) == trouble
    assert len(asked) > 1
    assert set(asked) == {message()}


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (grpc.StatusCode.UNKNOWN, Trouble.CARRIER_FAILED),
        (grpc.StatusCode.UNIMPLEMENTED, Trouble.CARRIER_FAILED),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Trouble.BUSY),
        (grpc.StatusCode.UNAVAILABLE, Trouble.AWAY),
    ],
)
def test_any_other_text_is_not_passed_on(
    code: grpc.StatusCode, trouble: Trouble, folder: Path
) -> None:
    def fail(pieces: Iterator[Piece], context: grpc.ServicerContext) -> Iterator[Piece]:
        context.abort(code, "Exception calling application: /data/ward-7")
        yield Piece()

    with answering(folder / "w.sock", fail), pytest.raises(Unanswered) as raised:
        relay(message(), folder / "w.sock", away_s=0.1)
    assert raised.value.trouble == trouble
    assert "ward-7" not in str(raised.value)


def test_a_worker_that_dies_of_a_request_is_given_up(folder: Path) -> None:
    handed = []

    def dies(pieces: Iterator[Piece], context: grpc.ServicerContext) -> Iterator[Piece]:
        handed.append(sum(len(piece.data) for piece in pieces))
        yield Piece()
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")  # as gRPC tells of a death

    with answering(folder / "worker.sock", dies):
        trouble = trouble_of(lambda: relay(message(), folder / "worker.sock", away_s=60.0))
    assert trouble is Trouble.FAILED
    assert handed == 4 * [len(message())]
