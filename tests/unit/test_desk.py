"""What administrators are told at the worker's second socket."""

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from client.cli.status import status_lines
from client.desk import look
from common.errors import ConfigError
from common.wire import Request
from common.worker_pb2 import Outlook
from tests.support.exchanges import STUDY, census_request, request
from tests.support.workers import PATIENCE_S, Gate, Worker, call, message, turned_away


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


@pytest.mark.parametrize("rehearsal", [True, False])
def test_the_desk_tells_a_rehearsal_from_a_run(rehearsal: bool) -> None:
    gate = Gate()
    asked = census_request()
    asked = replace(asked, step=asked.step.model_copy(update={"rehearsal": rehearsal}))
    with Worker(gate) as worker, grpc.insecure_channel(f"unix:{worker.socket}") as channel:
        answer = call(channel, message(asked))
        gate.wait_begun()
        next(answer)
        outlook = look(worker.desk)
        gate.open()
    assert outlook.rehearsal == rehearsal
    assert any("a rehearsal" in line for line in status_lines(outlook)) == rehearsal


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


def done(data: bytes) -> bytes:
    return b"done"


def test_without_a_worker_the_desk_is_an_operators_error() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="lkf-") as folder,  # a socket's path is short
        pytest.raises(ConfigError, match="no worker answers") as raised,
    ):
        look(Path(folder) / "desk.sock")
    assert "leukofed-site worker" in raised.value.fix
    assert "UNAVAILABLE" in raised.value.local_detail


def test_the_carriers_socket_does_not_serve_the_desk() -> None:
    with Worker(done) as worker, pytest.raises(ConfigError, match="no worker answers"):
        look(worker.socket)
