"""Bytes to the worker and back, over its Unix socket, with patience and a limit to it."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc

from client.pulse import Pulse, no_pulse
from common.pieces import MOST_PIECE, cut
from common.troubles import Trouble, Unanswered
from common.worker_pb2 import Piece

_LOG = logging.getLogger("leukofed.carrier")
_MOST_LOSSES = 3
"""How often a worker may go away over one request that it has taken in."""
PAUSES_S: Mapping[Trouble, float] = {Trouble.AWAY: 1.0, Trouble.STOPPING: 1.0, Trouble.BUSY: 5.0}
"""What passes, and how long to wait before the request is handed over again, in seconds."""


def relay(
    message: bytes,
    socket: Path,
    *,
    away_s: float = 60.0,
    stalled_s: float = 900.0,
    pulse: Pulse = no_pulse,
    pauses_s: Mapping[Trouble, float] = PAUSES_S,
) -> bytes:
    """Hand a request to the worker and return its reply.

    A worker that is restarted meanwhile is handed the request again: it answers each step once,
    so nothing is computed, or released, twice.

    Args:
        message: what the coordinator sent; it is not looked at.
        socket: the worker's.
        away_s: how long to wait for a worker that does not run, or is at other work, in seconds.
        stalled_s: how long to wait for one that makes no progress, in seconds.
        pulse: called at every attempt and every sign of life.
        pauses_s: how long to wait before the request is handed over again, in seconds.

    Raises:
        Unanswered: the worker turned the request away, does not run, or hangs.
    """
    away_since = time.monotonic()
    losses = 0
    while True:
        pulse()
        call = _Call(message, socket, stalled_s, pulse)
        try:
            return call.reply()
        except grpc.RpcError as error:
            if call.has_stalled:
                raise Unanswered(Trouble.STALLED) from error
            trouble = _trouble(error)
            if trouble not in pauses_s:
                raise Unanswered(trouble) from error
            if call.was_heard:
                away_since = time.monotonic()
                losses += 1
                if losses > _MOST_LOSSES:  # it dies of this very request
                    raise Unanswered(Trouble.FAILED) from error
            elif time.monotonic() - away_since > away_s:
                raise Unanswered(trouble) from error
            _LOG.warning("no reply yet (%s); the request is handed over again", trouble)
            time.sleep(pauses_s[trouble])


class _Call:
    """One attempt."""

    def __init__(self, message: bytes, socket: Path, stalled_s: float, pulse: Pulse) -> None:
        self._message = message
        self._socket = socket
        self._stalled_s = stalled_s
        self._pulse = pulse
        self.was_heard = False
        self.has_stalled = False

    def reply(self) -> bytes:
        options = [
            ("grpc.max_receive_message_length", 2 * MOST_PIECE),
            ("grpc.enable_http_proxy", 0),
        ]
        with grpc.insecure_channel(f"unix:{self._socket}", options=options) as channel:
            handle = channel.stream_stream(
                "/leukofed.Worker/Handle",
                request_serializer=Piece.SerializeToString,
                response_deserializer=Piece.FromString,
            )
            answer = handle(self._pieces())
            found = bytearray()
            timer = self._timer(answer)
            try:
                for piece in answer:
                    self.was_heard = True
                    self._pulse()
                    timer.cancel()
                    timer = self._timer(answer)
                    found += piece.data
            finally:
                timer.cancel()
            return bytes(found)

    def _pieces(self) -> Iterator[Piece]:
        for data in cut(self._message):
            yield Piece(data=data)

    def _timer(self, answer: grpc.Call) -> threading.Timer:
        def give_up() -> None:
            self.has_stalled = True
            answer.cancel()

        timer = threading.Timer(self._stalled_s, give_up)
        timer.daemon = True
        timer.start()
        return timer


# What gRPC itself tells: nobody listens there; all of the worker's streams are taken.
_CODES = {
    grpc.StatusCode.UNAVAILABLE: Trouble.AWAY,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Trouble.BUSY,
}


def _trouble(error: grpc.RpcError) -> Trouble:
    try:
        return Trouble(error.details() or "")
    except ValueError:
        return _CODES.get(error.code(), Trouble.CARRIER_FAILED)
