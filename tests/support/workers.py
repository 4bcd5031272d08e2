"""A site's worker without images: its own services at real sockets, around a small function."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import pytest

from client.launches import Launches
from client.service import WorkerService, carrier_server, desk_server
from client.single_flight import SingleFlight, Work
from common.signing import Signed, new_key, open_signed, sign_request
from common.study.schema import Study
from common.wire import Request, encode_request
from common.worker_pb2 import Piece
from tests.support.exchanges import STUDY, request

Handle = Callable[[Iterator[Piece], grpc.ServicerContext], Iterator[Piece]]
KEY = new_key()
MOST_BYTES = 40_000_000
PATIENCE_S = 20.0
"""A generous bound for what takes milliseconds."""


def message(asked: Request | None = None, launch: int = 1) -> bytes:
    """Return a request as the coordinator sends it."""
    return sign_request(encode_request(asked or request()), KEY, launch)


def signed(asked: Request | None = None, launch: int = 1) -> Signed:
    """Return a request as the worker's service admits it."""
    return open_signed(message(asked, launch), KEY.public_key())


class Gate:
    """Work that waits at a gate: it tells what it was given, and pulses until it may go on."""

    def __init__(self, reply: Callable[[bytes], bytes] = lambda data: b"done") -> None:
        self.given: list[bytes] = []
        self.pulse: Callable[[], None] = lambda: None
        self.begun = threading.Semaphore(0)
        self._open = threading.Event()
        self._reply = reply

    def __call__(self, data: bytes) -> bytes:
        """Work."""
        self.given.append(data)
        self.begun.release()
        while not self._open.wait(0.005):
            self.pulse()
        return self._reply(data)

    def open(self) -> None:
        """Let this work, and all that comes later, go on."""
        self._open.set()

    def wait_begun(self) -> None:
        """Wait until one more piece of work has begun."""
        assert self.begun.acquire(timeout=PATIENCE_S)


class Worker:
    """A worker of site north without images; two sockets in a short folder of its own.

    Args:
        work: what it does with a request; a `Gate` is given the flight's pulse.
        approved: studies, by digest.
        most_bytes: largest request.
        alive_s: most time between two looks whether the work has made progress, in seconds.
    """

    def __init__(
        self,
        work: Work,
        *,
        approved: Mapping[str, Study] | None = None,
        most_bytes: int = MOST_BYTES,
        alive_s: float = 0.05,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lkf-"))  # a socket's path is short
        self.socket, self.desk = self.folder / "worker.sock", self.folder / "desk.sock"
        self._work = work
        self._settings = (approved or {STUDY.digest: STUDY}, KEY.public_key(), most_bytes)
        self._alive_s = alive_s
        self._servers: list[grpc.Server] = []

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, and remove its folder."""
        if isinstance(self._work, Gate):
            self._work.open()
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start it, anew if it was stopped: nothing is remembered."""
        self.flight = SingleFlight(self._work)
        if isinstance(self._work, Gate):
            self._work.pulse = self.flight.pulse
        self.service = WorkerService(
            "north",
            *self._settings,
            self.flight,
            Launches(self.folder / "launches"),
            alive_s=self._alive_s,
        )
        self._servers = [
            carrier_server(self.service, self.socket),
            desk_server(self.service, self.desk),
        ]
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        """Stop it as SIGTERM does."""
        assert self.flight.close(PATIENCE_S)
        self.cut()

    def cut(self) -> None:
        """End its services at once, as its death does; the work in progress goes on unseen."""
        for server in self._servers:
            server.stop(grace=None).wait()


@contextmanager
def answering(socket: Path, handle: Handle) -> Iterator[None]:
    """Let a function answer at a worker's socket."""
    server = grpc.server(ThreadPoolExecutor(4))
    method = grpc.stream_stream_rpc_method_handler(
        handle,
        request_deserializer=Piece.FromString,
        response_serializer=Piece.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler("leukofed.Worker", {"Handle": method})
    server.add_generic_rpc_handlers((service,))
    try:
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        yield
    finally:
        server.stop(grace=None).wait()


def call(channel: grpc.Channel, *data: bytes) -> Iterator[Piece]:
    """Hand a message, in these pieces, to a worker, as a carrier does."""
    handle = channel.stream_stream(
        "/leukofed.Worker/Handle",
        request_serializer=Piece.SerializeToString,
        response_deserializer=Piece.FromString,
    )
    return handle(Piece(data=piece) for piece in data)


def pieces_of(worker: Worker, *data: bytes) -> list[bytes]:
    """Return the pieces that a worker answers to a message in these pieces."""
    with grpc.insecure_channel(f"unix:{worker.socket}") as channel:
        return [piece.data for piece in call(channel, *data)]


def turned_away(worker: Worker, *data: bytes) -> tuple[grpc.StatusCode, str]:
    """Return code and text with which a worker turns a message away."""
    with pytest.raises(grpc.RpcError) as raised:
        pieces_of(worker, *data)
    return raised.value.code(), raised.value.details() or ""
