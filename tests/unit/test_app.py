"""The carrier as Flower calls it: it passes bytes on, and of a failure one word."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict

from client.app import app
from client.sockets import PULSE_VARIABLE, SOCKET_VARIABLE
from common.flower import (
    HEAD,
    MESSAGE_TYPE,
    RECORD,
    SHORT,
    describe,
    from_records,
    to_records,
)
from common.troubles import MEANING, Trouble
from common.worker_pb2 import Piece
from simulations.engines.inprocess import LoopbackGrid
from tests.support.exchanges import request
from tests.support.workers import Worker, answering, message

ROOT = Path(__file__).parents[2]
# What a carrier never needs, and each of its processes would have to load anew.
LIBRARIES = (
    "torch", "torchvision", "timm", "cv2", "PIL", "opacus", "sklearn", "scipy", "matplotlib",
    "xgboost",
)  # fmt: skip
ROOMS = ("client.phases", "client.site", "client.data", "client.training", "client.egress")


@pytest.fixture
def socket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A worker's socket, as the environment of a SuperNode names it."""
    folder = Path(tempfile.mkdtemp(prefix="lkf-"))
    monkeypatch.setenv(SOCKET_VARIABLE, str(folder / "worker.sock"))
    yield folder / "worker.sock"
    shutil.rmtree(folder)


def carried(records: RecordDict) -> Message:
    LoopbackGrid({})  # gives this process the identity that every Message carries
    context = Context(run_id=1, node_id=2, node_config={}, state=RecordDict(), run_config={})
    sent = Message(records, 2, MESSAGE_TYPE)
    reply = app(sent, context)
    assert reply.metadata.message_type == sent.metadata.message_type
    assert reply.metadata.dst_node_id == sent.metadata.src_node_id
    return reply


def word_of(reply: Message) -> str:
    assert not reply.has_content()
    assert reply.error.reason is not None
    return reply.error.reason


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_the_workers_bytes_are_the_reply(
    size: int, socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = os.urandom(size)
    with Worker(lambda data: answer) as worker:
        monkeypatch.setenv(SOCKET_VARIABLE, str(worker.socket))
        sent = message()
        reply = carried(to_records(sent, 150))
    assert not reply.has_error()
    assert from_records(reply) == answer


def test_signs_of_life_are_put_down_where_the_site_says(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulse = socket.with_name("pulse")
    monkeypatch.setenv(PULSE_VARIABLE, str(pulse))
    carried(RecordDict())
    assert pulse.exists()
    monkeypatch.setenv(PULSE_VARIABLE, str(socket.with_name("no") / "folder"))
    assert word_of(carried(RecordDict())) == Trouble.NOT_A_REQUEST.value


def test_the_workers_refusal_is_carried_as_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with Worker(lambda data: b"done") as worker:
        monkeypatch.setenv(SOCKET_VARIABLE, str(worker.socket))
        reply = carried(to_records(message(request(site="south"))))
    assert word_of(reply) == "other-site"
    assert describe(reply.error) == MEANING[Trouble.OTHER_SITE]


PASSING = {Trouble.AWAY, Trouble.STOPPING, Trouble.BUSY}
"""After these the carrier hands the request over again, for two minutes: see test_relay.py."""


@pytest.mark.parametrize("trouble", sorted(set(Trouble) - PASSING))
def test_every_trouble_is_carried_as_its_word(trouble: Trouble, socket: Path) -> None:

    def turn_away(pieces: Iterator[Piece], context: grpc.ServicerContext) -> Iterator[Piece]:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, trouble.value)
        yield Piece()

    with answering(socket, turn_away):
        reply = carried(to_records(message()))
    assert word_of(reply) == trouble.value


def test_no_text_of_a_failure_travels(socket: Path) -> None:
    def fail(pieces: Iterator[Piece], context: grpc.ServicerContext) -> Iterator[Piece]:
        yield Piece(data=b"half")
        raise FileNotFoundError("/data/ward-7/smear.png")

    with answering(socket, fail):
        reply = carried(to_records(message()))
    assert word_of(reply) == Trouble.CARRIER_FAILED.value
    assert "ward-7" not in str(reply.error)


def test_nor_does_the_text_of_a_bug_of_its_own(
    socket: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, "/data/ward-7/\udcff")  # gRPC takes no such name
    reply = carried(to_records(message()))
    assert word_of(reply) == Trouble.CARRIER_FAILED.value
    assert "ward-7" not in str(reply.error)
    (entry,) = caplog.records
    assert entry.exc_info is not None  # at home it keeps its traceback


@pytest.mark.parametrize(
    "records",
    [
        RecordDict(),
        RecordDict({RECORD: ConfigRecord({"epochs": 3})}),
        RecordDict({RECORD: ArrayRecord({HEAD: to_records(bytes(SHORT + 1))[RECORD][HEAD]})}),
    ],
)
def test_a_message_without_records_of_ours_is_no_request(records: RecordDict, socket: Path) -> None:
    assert word_of(carried(records)) == Trouble.NOT_A_REQUEST.value


def test_a_carrier_loads_nothing_that_sees_images() -> None:
    code = "import sys, client.app; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "client.relay" in loaded
    assert loaded.isdisjoint({*LIBRARIES, *ROOMS})
