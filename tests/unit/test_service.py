"""The worker's two services, at real sockets, around work without images."""

import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from client.desk import look
from client.service import carrier_server
from client.worker import _alone, _free
from common.errors import ConfigError
from common.pieces import MOST_PIECE
from common.signing import new_key, sign_request
from common.study.schema import Study
from common.troubles import Trouble
from common.wire import Request, encode_request
from common.worker_pb2 import Outlook, Piece
from tests.support.exchanges import STUDY, census_request, request
from tests.support.processes import wait_until
from tests.support.workers import PATIENCE_S, Gate, Worker, call, message


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="lkf-"))  # a socket's path is short
    yield made
    shutil.rmtree(made)


def done(data: bytes) -> bytes:
    return b"done"


def pieces_of(worker: Worker, *data: bytes) -> list[bytes]:
    with grpc.insecure_channel(f"unix:{worker.socket}") as channel:
        return [piece.data for piece in call(channel, *data)]


def turned_away(worker: Worker, *data: bytes) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        pieces_of(worker, *data)
    return raised.value.code(), raised.value.details() or ""


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


def test_the_desk_tells_enumerated_fields() -> None:
    gate = Gate()
    with Worker(gate) as worker:
        idle = look(worker.desk)
        assert (idle.activity, idle.phase) == (Outlook.IDLE, Outlook.PHASE_UNSPECIFIED)
        assert (idle.study, idle.approved, idle.replies, idle.turned_away) == (b"", 1, 0, 0)
        assert idle.resident_bytes > 10_000_000
        asked = request(round=3, exchange=2)
        with grpc.insecure_channel(f"unix:{worker.socket}") as channel:
            answer = call(channel, message(asked))
            gate.wait_begun()
            worker.flight.progress(7, 9)
            working = look(worker.desk)
            turned_away(worker, b"")
            gate.open()
            list(answer)
        later = look(worker.desk)
    assert (working.activity, working.phase) == (Outlook.WORKING, Outlook.BOOSTER)
    assert (working.round, working.exchange, working.done, working.of) == (3, 2, 7, 9)
    assert working.study.hex() == STUDY.digest
    assert 0 <= working.quiet_seconds <= working.seconds + 1e-3 < PATIENCE_S
    assert (later.activity, later.replies, later.turned_away) == (Outlook.IDLE, 1, 1)
    assert later.up_seconds >= working.up_seconds >= idle.up_seconds


def test_the_desk_names_every_phase_that_asks_something_of_a_site() -> None:
    asked: list[Request] = [
        census_request(),
        *(request(phase=p) for p in ("backbones", "fusion", "calibration", "evaluation", "mining")),
    ]
    found = []
    gate = Gate()
    with Worker(gate) as worker:
        for number, one in enumerate(asked):
            with grpc.insecure_channel(f"unix:{worker.socket}") as channel:
                answer = call(channel, message(one, launch=number))
                gate.wait_begun()
                next(answer)
                found.append(Outlook.Phase.Name(look(worker.desk).phase))
    words = "CENSUS BACKBONES FUSION CALIBRATION EVALUATION PHASE_UNSPECIFIED"
    assert found == words.split()


def test_the_desk_says_that_the_worker_is_being_stopped() -> None:
    held = threading.Event()
    begun = threading.Event()

    def work(data: bytes) -> bytes:
        begun.set()
        assert held.wait(PATIENCE_S)
        return b"done"

    with Worker(work) as worker, grpc.insecure_channel(f"unix:{worker.socket}") as channel:
        answer = call(channel, message())
        assert begun.wait(PATIENCE_S)
        assert not worker.flight.close(0.01)
        assert look(worker.desk).activity == Outlook.STOPPING
        assert turned_away(worker, message()) == (grpc.StatusCode.UNAVAILABLE, "stopping")
        held.set()
        assert list(answer)[-1].data == b"done"


def test_without_a_worker_the_desk_is_an_operators_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no worker answers") as raised:
        look(folder / "desk.sock")
    assert "leukofed-site worker" in raised.value.fix
    assert "UNAVAILABLE" in raised.value.local_detail


def test_the_carriers_socket_does_not_serve_the_desk() -> None:
    with Worker(done) as worker, pytest.raises(ConfigError, match="no worker answers"):
        look(worker.socket)


def test_a_socket_that_cannot_be_made_is_an_operators_error() -> None:
    with (
        Worker(done) as worker,
        pytest.raises(ConfigError, match="cannot listen at its socket") as raised,
    ):
        carrier_server(worker.service, worker.folder / "absent" / "worker.sock")
    assert raised.value.local_detail.endswith("absent/worker.sock")


def bound(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


def test_a_socket_that_was_left_behind_is_removed_and_so_is_the_own_one(folder: Path) -> None:
    path = folder / "worker.sock"
    bound(path).close()
    assert path.is_socket()
    with _free(path):
        assert not path.exists()
        bound(path).close()
    assert not path.exists()


def test_the_own_socket_is_removed_whatever_happens(folder: Path) -> None:
    path = folder / "worker.sock"

    def serve() -> None:
        with _free(path):
            bound(path).close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve()
    assert not path.exists()


def test_the_socket_of_a_live_process_is_left_alone(folder: Path) -> None:
    path = folder / "worker.sock"
    with bound(path) as living:
        living.listen()
        with pytest.raises(ConfigError, match="another process listens"), _free(path):
            pytest.fail("it was taken for free")
        assert path.is_socket()


def test_a_live_socket_of_another_kind_is_left_alone(folder: Path) -> None:
    path = folder / "log.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as living:
        living.bind(str(path))
        with pytest.raises(ConfigError, match="cannot be used"), _free(path):
            pytest.fail("it was taken for free")
        assert path.is_socket()


@pytest.mark.parametrize("is_folder", [True, False])
def test_something_else_in_its_place_is_not_removed(folder: Path, is_folder: bool) -> None:
    path = folder / "worker.sock"
    if is_folder:
        path.mkdir()
    else:
        path.write_text("a letter")
    with pytest.raises(ConfigError, match="lies something else"), _free(path):
        pytest.fail("it was taken for free")
    assert path.exists()


def test_a_path_is_as_long_as_a_sockets_may_be(folder: Path) -> None:
    longest = folder / ("s" * (107 - len(str(folder)) - 1))
    with _free(longest):
        bound(longest).close()
    too_long = longest.with_name(longest.name + "s")
    with pytest.raises(ConfigError, match="may be 107 bytes long"), _free(too_long):
        pytest.fail("it was taken for short enough")
    wide = longest.with_name("é" + longest.name[1:])
    assert len(str(wide)) == 107
    with pytest.raises(ConfigError, match="may be 107 bytes long"), _free(wide):
        pytest.fail("its bytes were not counted")


def test_the_folder_of_a_socket_has_to_be_there(folder: Path) -> None:
    with (
        pytest.raises(ConfigError, match="folder of the socket does not exist"),
        _free(folder / "absent" / "worker.sock"),
    ):
        pytest.fail("it was taken for there")


def test_a_state_folder_serves_one_worker_at_a_time(tmp_path: Path) -> None:
    state = tmp_path / "var" / "state"
    with _alone(state):
        with (
            pytest.raises(ConfigError, match="another worker uses this site's state") as raised,
            _alone(state),
        ):
            pytest.fail("two share it")
        assert raised.value.local_detail == str(state)
        with _alone(tmp_path / "other"):
            pass
    with _alone(state):
        pass
