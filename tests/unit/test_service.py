"""The worker's service for carriers, at a real socket, around work without images."""

import logging
import os
import threading
from collections.abc import Iterator, Mapping

import grpc
import pytest

from client.service import carrier_server
from common.errors import ConfigError
from common.pieces import MOST_PIECE
from common.signing import new_key, sign_request
from common.study.schema import Study
from common.troubles import Trouble
from common.wire import encode_request
from common.worker_pb2 import Piece
from tests.support.exchanges import STUDY, request
from tests.support.processes import wait_until
from tests.support.workers import PATIENCE_S, Gate, Worker, call, message, pieces_of, turned_away


def done(data: bytes) -> bytes:
    return b"done"


def test_a_request_in_pieces_is_worked_on_as_it_was_sent() -> None:
    gate = Gate()
    gate.open()
    sent = message()
    with Worker(gate) as worker:
        pieces = pieces_of(worker, sent[:3], b"", sent[3:100], sent[100:])
    assert pieces == [b"", b"done"]  # the first: it was taken in
    assert gate.given == [encode_request(request())]


@pytest.mark.parametrize("size", [0, 1, MOST_PIECE - 1, MOST_PIECE, MOST_PIECE + 1, 3 * MOST_PIECE])
def test_a_reply_comes_in_pieces_of_a_mebibyte(size: int) -> None:
    with Worker(lambda data: bytes(size)) as worker:
        pieces = pieces_of(worker, message())
    whole, rest = divmod(size, MOST_PIECE)
    assert list(map(len, pieces)) == [0] + whole * [MOST_PIECE] + ([rest] if rest else [])


OTHER_PROTOCOL = b"LKS1" + (99).to_bytes(4, "big") + message()[8:]
CHANGED = message().replace(b'"round":1', b'"round":2')
TURNED_AWAY: Mapping[str, tuple[bytes, Trouble]] = {
    "nothing": (b"", Trouble.NOT_A_REQUEST),
    "garbage": (bytes(500), Trouble.NOT_A_REQUEST),
    "unsigned": (encode_request(request()), Trouble.UNSIGNED),
    "other protocol": (OTHER_PROTOCOL, Trouble.OTHER_PROTOCOL),
    "other key": (sign_request(encode_request(request()), new_key(), 1), Trouble.OTHER_KEY),
    "changed": (CHANGED, Trouble.OTHER_KEY),
    "other site": (message(request(site="south")), Trouble.OTHER_SITE),
    "unapproved": (message(request(study="0" * 64)), Trouble.UNAPPROVED),
}


@pytest.mark.parametrize("name", TURNED_AWAY)
def test_what_is_turned_away_is_told_in_a_word_and_not_worked_on(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, trouble = TURNED_AWAY[name]
    gate = Gate()
    with Worker(gate) as worker:
        assert turned_away(worker, data) == (grpc.StatusCode.FAILED_PRECONDITION, trouble.value)
        assert worker.service.turned_away == 1
    assert gate.given == []
    assert [entry.getMessage().partition(":")[0] for entry in caplog.records] == ["refused"]


def test_a_request_that_is_too_large_is_turned_away_before_it_is_all_there() -> None:
    """The rest of an endless one must not be waited for, nor kept."""
    sent: list[int] = []

    def endless() -> Iterator[Piece]:
        yield Piece(data=message())  # without a signature it would end sooner
        while len(sent) < 100_000:
            sent.append(1)
            yield Piece(data=bytes(MOST_PIECE))

    with (
        Worker(done, most_bytes=3 * MOST_PIECE) as worker,
        grpc.insecure_channel(f"unix:{worker.socket}") as channel,
    ):
        handle = channel.stream_stream(
            "/leukofed.Worker/Handle",
            request_serializer=Piece.SerializeToString,
            response_deserializer=Piece.FromString,
        )
        with pytest.raises(grpc.RpcError) as raised:
            list(handle(endless()))
    assert raised.value.details() == Trouble.TOO_LARGE.value
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(sent) < 1000


def test_a_request_of_the_largest_size_is_taken_in() -> None:
    sent = message()
    with Worker(done, most_bytes=len(sent)) as worker:
        assert pieces_of(worker, sent) == [b"", b"done"]
    with Worker(done, most_bytes=len(sent) - 1) as worker:
        assert turned_away(worker, sent)[1] == Trouble.TOO_LARGE.value


def test_a_piece_that_is_larger_than_agreed_does_not_come_in() -> None:
    with Worker(done) as worker:
        code, text = turned_away(worker, bytes(3 * MOST_PIECE))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text not in list(Trouble)


class Unreadable(dict[str, Study]):
    """A folder of approved studies whose disk fails."""

    def __contains__(self, digest: object) -> bool:
        raise OSError(5, "Input/output error", "/data/ward-7/approved")


def test_no_text_of_a_bug_crosses_the_socket(caplog: pytest.LogCaptureFixture) -> None:
    with Worker(done, approved=Unreadable({"": STUDY})) as worker:
        assert turned_away(worker, message()) == (grpc.StatusCode.INTERNAL, Trouble.FAILED.value)
    (entry,) = caplog.records
    assert entry.exc_info is not None  # at home it keeps its traceback
    assert "ward-7" in str(entry.exc_info[1])


def test_a_bug_in_the_work_is_told_in_a_word() -> None:
    def work(data: bytes) -> bytes:
        raise FileNotFoundError("/data/ward-7/smear.png")

    with Worker(work) as worker:
        assert turned_away(worker, message()) == (grpc.StatusCode.INTERNAL, Trouble.FAILED.value)


def test_carriers_of_the_same_request_get_the_same_reply() -> None:
    gate = Gate(reply=lambda data: os.urandom(2_500_000))
    found: list[bytes] = []
    with Worker(gate) as worker:
        carriers = [
            threading.Thread(target=lambda: found.append(b"".join(pieces_of(worker, message()))))
            for _ in range(3)
        ]
        for carrier in carriers:
            carrier.start()
        gate.wait_begun()
        gate.open()
        for carrier in carriers:
            carrier.join(PATIENCE_S)
        assert worker.flight.replies in (1, 2, 3)  # who comes after the reply asks for a new one
    assert [len(reply) for reply in found] == 3 * [2_500_000]


def test_signs_of_life_come_only_while_there_is_progress() -> None:
    gate = Gate()
    may_pulse = threading.Event()

    def pulsing() -> None:
        if may_pulse.is_set():
            worker.flight.pulse()

    with Worker(gate) as worker, grpc.insecure_channel(f"unix:{worker.socket}") as channel:
        gate.pulse = pulsing
        answer = call(channel, message())
        assert next(answer).data == b""  # taken in
        heard: list[bytes] = []
        listening = threading.Thread(target=lambda: heard.extend(p.data for p in answer))
        listening.start()
        threading.Event().wait(0.3)
        assert heard == []
        may_pulse.set()
        wait_until(lambda: len(heard) >= 3, PATIENCE_S, "signs of life", every_s=0.01)
        gate.open()
        listening.join(PATIENCE_S)
    assert heard[-1] == b"done"
    assert not any(heard[:-1])


def is_taken_in(worker: Worker) -> bool:
    """Hand a request over, and go soon after it was taken in."""
    with grpc.insecure_channel(f"unix:{worker.socket}") as channel:
        answer = call(channel, message())
        try:
            first = next(answer)
        except grpc.RpcError:
            return False
        threading.Event().wait(0.03)  # the worker's end waits for the work by now
        return first.data == b""


def test_carriers_that_have_gone_do_not_bar_those_that_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Work without progress is left by its carrier; more than there are streams may do so."""
    gate = Gate()
    with Worker(gate) as worker:
        gate.pulse = lambda: None
        for _ in range(9):
            wait_until(lambda: is_taken_in(worker), PATIENCE_S, "a free stream", every_s=0.05)
        gate.open()
        assert pieces_of(worker, message())[-1] == b"done"
        assert len(gate.given) in (1, 2)
    assert [entry for entry in caplog.records if entry.levelno >= logging.ERROR] == []


def test_more_carriers_than_streams_at_once_are_told_so() -> None:
    gate = Gate()
    with Worker(gate) as worker, grpc.insecure_channel(f"unix:{worker.socket}") as channel:
        held = [call(channel, message()) for _ in range(4)]
        for answer in held:
            assert next(answer).data == b""
        assert turned_away(worker, message())[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        gate.open()
        assert [list(answer)[-1].data for answer in held] == 4 * [b"done"]


def test_a_carrier_that_dies_while_it_speaks_leaves_no_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = threading.Event()

    def half() -> Iterator[Piece]:
        yield Piece(data=message()[:50])
        gone.wait(PATIENCE_S)

    with Worker(done) as worker:
        with grpc.insecure_channel(f"unix:{worker.socket}") as channel:
            handle = channel.stream_stream(
                "/leukofed.Worker/Handle",
                request_serializer=Piece.SerializeToString,
                response_deserializer=Piece.FromString,
            )
            answer = handle(half())
            threading.Event().wait(0.1)
            answer.cancel()
            gone.set()
        assert pieces_of(worker, message())[-1] == b"done"
        # gRPC may show the worker its end as the end of what it had to say, which is no request.
        assert worker.service.turned_away in (0, 1)
        assert worker.flight.replies == 1
    assert [entry for entry in caplog.records if entry.levelno >= logging.ERROR] == []


def test_a_socket_that_cannot_be_made_is_an_operators_error() -> None:
    with (
        Worker(done) as worker,
        pytest.raises(ConfigError, match="cannot listen at its socket") as raised,
    ):
        carrier_server(worker.service, worker.folder / "absent" / "worker.sock")
    assert raised.value.local_detail.endswith("absent/worker.sock")
