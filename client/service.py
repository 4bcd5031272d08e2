"""The worker's two services: the carrier's, which trusts nothing, and the administrators'."""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from client.launches import Launches
from client.single_flight import Flight, SingleFlight
from common.errors import ConfigError
from common.pieces import MOST_PIECE, cut, joined
from common.signing import LONGEST_FRONT, Signed, open_signed
from common.study.schema import Study
from common.troubles import Trouble, Unanswered
from common.worker_pb2 import LookRequest, Outlook, Piece

_LOG = logging.getLogger("leukofed.worker")
_CARRIER_STREAMS = 4  # at once; each may hold a signed request of the largest size, twice


class WorkerService:
    """Takes requests in, and gives replies out as soon as they are there.

    Args:
        site: the site's name.
        approved: the approved studies, by digest.
        key: the coordinator's public key.
        most_bytes: largest request.
        flight: does the work.
        launches: the newest launch of every run.
        alive_s: least time between two signs of life, in seconds.
    """

    def __init__(
        self,
        site: str,
        approved: Mapping[str, Study],
        key: Ed25519PublicKey,
        most_bytes: int,
        flight: SingleFlight,
        launches: Launches,
        *,
        alive_s: float = 1.0,
    ) -> None:
        self.site = site
        self.approved = approved
        self.flight = flight
        self._key = key
        self._launches = launches
        self._most_bytes = most_bytes
        self._alive_s = alive_s
        self._counting = threading.Lock()
        self._since = time.monotonic()
        self.turned_away = 0

    def handle(self, pieces: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Piece]:
        """Answer one request: `Worker.Handle` of worker.proto; its pieces come in as they are."""
        try:
            flight = self.flight.submit(self._admitted(pieces))
            yield Piece()  # taken in; without progress there may be none for long
            seen = 0
            while not flight.ended.wait(self._alive_s):
                if not context.is_active():
                    return  # the carrier has gone; kept, its stream would bar those to come
                if flight.beats != seen:
                    seen = flight.beats
                    yield Piece()
            for data in cut(flight.result()):
                yield Piece(data=data)
            return
        except Unanswered as error:
            trouble = error.trouble
            detail = f" ({error.local_detail})" if error.local_detail else ""
            _LOG.warning("refused: %s%s", error.problem, detail)
        except grpc.RpcError:  # the carrier went away before it had said all
            raise
        except Exception:  # the outermost frame: gRPC would send the text of a bug
            trouble = Trouble.FAILED
            _LOG.exception("a request could not be taken in")
        with self._counting:
            self.turned_away += 1
        context.abort(_code(trouble), trouble.value)

    def look(self, _: LookRequest, context: grpc.ServicerContext) -> Outlook:
        """Tell administrators how things stand: `Desk.Look` of worker.proto."""
        current = self.flight.current
        is_stopping = self.flight.is_closed
        activity = Outlook.STOPPING if is_stopping else Outlook.WORKING if current else Outlook.IDLE
        outlook = Outlook(
            activity=activity,
            replies=self.flight.replies,
            turned_away=self.turned_away,
            approved=len(self.approved),
            resident_bytes=resident_bytes(),
            up_seconds=time.monotonic() - self._since,
        )
        if current is not None:
            outlook.MergeFrom(_told(current))
        return outlook

    def _admitted(self, pieces: Iterator[bytes]) -> Signed:
        check = partial(open_signed, key=self._key)
        data = (Piece.FromString(piece).data for piece in pieces)
        try:
            message = joined(data, self._most_bytes, LONGEST_FRONT, check)
        except DecodeError as error:
            raise Unanswered(Trouble.NOT_A_REQUEST) from error
        signed = check(message)
        step = signed.request.step
        if step.site != self.site:
            raise Unanswered(Trouble.OTHER_SITE)
        if step.study not in self.approved:
            raise Unanswered(Trouble.UNAPPROVED, local_detail=f"study {step.study[:12]}")
        self._launches.admit(signed)
        return signed


def carrier_server(service: WorkerService, socket: Path) -> grpc.Server:
    """Make the server of the carrier's socket; the caller starts it."""
    method = grpc.stream_stream_rpc_method_handler(
        service.handle,
        request_deserializer=bytes,  # of a piece that is none, gRPC would print a traceback
        response_serializer=Piece.SerializeToString,
    )
    return _server("leukofed.Worker", {"Handle": method}, socket, _CARRIER_STREAMS)


def desk_server(service: WorkerService, socket: Path) -> grpc.Server:
    """Make the server of the administrators' socket; the caller starts it."""
    method = grpc.unary_unary_rpc_method_handler(
        service.look,
        request_deserializer=LookRequest.FromString,
        response_serializer=Outlook.SerializeToString,
    )
    return _server("leukofed.Desk", {"Look": method}, socket, 2)


def resident_bytes() -> int:
    """Return the memory that this process holds, in bytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _told(flight: Flight) -> Outlook:
    step, now = flight.step, time.monotonic()
    done, of = flight.progress
    name = step.phase.upper()
    return Outlook(
        phase=name if name in Outlook.Phase.keys() else None,  # noqa: SIM118
        round=step.round,
        exchange=step.exchange,
        rehearsal=step.rehearsal,
        study=bytes.fromhex(step.study),
        seconds=now - flight.since,
        quiet_seconds=now - flight.beat,
        done=done,
        of=of,
    )


def _server(
    name: str, methods: dict[str, "grpc.RpcMethodHandler[Any, Any]"], socket: Path, streams: int
) -> grpc.Server:
    server = grpc.server(
        ThreadPoolExecutor(streams, thread_name_prefix=name),
        maximum_concurrent_rpcs=streams,
        options=[
            ("grpc.max_receive_message_length", 2 * MOST_PIECE),
            ("grpc.max_metadata_size", 8 << 10),
        ],
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    try:
        server.add_insecure_port(f"unix:{socket}")  # its permissions decide who may speak
    except RuntimeError as error:
        raise ConfigError(
            "the worker cannot listen at its socket",
            fix="see that its user may write to the socket's folder, or choose another path",
            local_detail=str(socket),
        ) from error
    return server


_CODES: dict[Trouble, grpc.StatusCode] = {
    Trouble.STOPPING: grpc.StatusCode.UNAVAILABLE,
    Trouble.FAILED: grpc.StatusCode.INTERNAL,
    Trouble.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def _code(trouble: Trouble) -> grpc.StatusCode:
    return _CODES.get(trouble, grpc.StatusCode.FAILED_PRECONDITION)
