"""Malformed and altered messages for a worker's socket, and what becomes of each."""

import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import grpc

from common.pieces import MOST_PIECE, cut
from common.seeds import stream
from common.worker_pb2 import Piece
from tests.support import mutations
from tests.support.coordinator import STUDY, census, fit, signed
from tests.support.fuzz_account import ACCEPTED, Account
from tests.support.mutations import FRONT, Random, header_end
from tests.support.processes import resident_bytes
from tests.support.worker_process import WorkerSite

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PATIENCE_S = 60.0


def fuzz_worker(site: WorkerSite, run: str, count: int, seed: int, first: int = 50) -> Account:
    """Send spoilt messages to a worker that has answered rounds 1 and 3 of a run.

    Args:
        site: whose worker runs.
        run: the run; its round 4 is what most of the messages pretend to ask for.
        count: how many messages.
        seed: of the messages.
        first: after how many the memory is looked at first.
    """
    random = stream(seed, "fuzz", "requests")
    kinds = _kinds(site, run)
    account = Account()
    with grpc.insecure_channel(f"unix:{site.socket}") as channel:
        for number in range(count):
            name, send = kinds[number % len(kinds)]
            account.reasons[f"{name}: {send(channel, random)}"] += 1
            account.messages += 1
            if account.messages in (first, count):
                account.resident[account.messages] = resident_bytes(site.worker.pid)
    return account


Send = Callable[[grpc.Channel, Random], str]


def _kinds(site: WorkerSite, run: str) -> list[tuple[str, Send]]:
    new = signed(fit(STUDY, 4, run), site.key)
    known = signed(fit(STUDY, 3, run), site.key)
    small = signed(census(STUDY, f"{run}-more"), site.key)
    end = header_end(new, FRONT)
    flip = mutations.flipped
    altered: dict[str, Callable[[Random], bytes]] = {
        "signature": lambda r: flip(new, r, 16, FRONT),
        "launch": lambda r: flip(new, r, 8, 16),
        "protocol": lambda r: flip(new, r, 4, 8),
        "magic": lambda r: flip(new, r, 0, 4),
        "header": lambda r: flip(new, r, FRONT, end),
        "header of a small one": lambda r: flip(small, r, FRONT, len(small)),
        "length of the header": lambda r: mutations.other_length(FRONT + 4)(new, r),
        "length of the array table": lambda r: flip(new, r, end, end + 8),
        "array table": lambda r: flip(new, r, end + 8, end + 2000),
        "arrays": lambda r: flip(new, r, end + 5000),
        "arrays of a known one": lambda r: flip(known, r, end + 5000),
        "stretch emptied": lambda r: mutations.emptied(new, r),
        "truncated": lambda r: mutations.truncated(new, r),
        "truncated small one": lambda r: mutations.truncated(small, r),
        "extended": lambda r: mutations.extended(new, r),
        "shortened": lambda r: mutations.shortened(new, r),
        "doubled stretch": lambda r: mutations.doubled(new, r),
        "another's signature": lambda r: known[:FRONT] + new[FRONT:],
        "another's arrays": lambda r: small[: header_end(small, FRONT)] + new[end:],
        "no arrays": lambda r: new[:end],
        "unsigned": lambda r: new[FRONT:],
        "signed twice": lambda r: new[:FRONT] + new,
        "garbage": lambda r: mutations.garbage(b"", r),
        "garbage behind a magic number": lambda r: mutations.misleading(b"", r),
        "garbage behind a signature": lambda r: new[:FRONT] + r.bytes(500),
    }
    kinds: list[tuple[str, Send]] = [
        (f"altered ({name})", partial(_handed_over, make)) for name, make in altered.items()
    ]
    raw = partial(partial, _raw, site.socket)
    kinds += [
        ("raw: garbage", raw(lambda r: r.bytes(int(r.integers(1, 4000))))),
        ("raw: half a preface", raw(lambda r: _PREFACE[: r.integers(1, 24)])),
        ("raw: garbage frames", raw(lambda r: _PREFACE + r.bytes(900))),
        ("raw: giant frame", raw(lambda r: _PREFACE + b"\xff" * 9)),
        ("raw: nothing", raw(lambda r: b"")),
        ("unknown method", partial(_called, "/leukofed.Worker/Open", lambda r: [r.bytes(20)])),
        ("unknown service", partial(_called, "/grpc.health.v1.Health/Check", lambda r: [b""])),
        ("other socket's service", partial(_called, "/leukofed.Desk/Look", lambda r: [b""])),
        ("no message type of ours", partial(_called, _HANDLE, lambda r: [b"\xff" + r.bytes(99)])),
        ("piece too large", partial(_called, _HANDLE, lambda r: [_piece(bytes(3 * MOST_PIECE))])),
        ("no pieces", partial(_called, _HANDLE, lambda r: [])),
        ("empty pieces", partial(_called, _HANDLE, lambda r: [b""] * int(r.integers(1000, 3000)))),
        ("cut off", partial(_cut_off, new)),
    ]  # fmt: skip
    return kinds


_HANDLE = "/leukofed.Worker/Handle"


def _piece(data: bytes) -> bytes:
    return Piece(data=data).SerializeToString()


def _method(channel: grpc.Channel, name: str) -> "grpc.StreamStreamMultiCallable[bytes, Piece]":
    return channel.stream_stream(
        name, request_serializer=bytes, response_deserializer=Piece.FromString
    )


def _called(
    method: str, make: Callable[[Random], Sequence[bytes]], channel: grpc.Channel, random: Random
) -> str:
    """Call a method with messages as they are; return what is said in the end."""
    answer = _method(channel, method)(iter(make(random)), timeout=_PATIENCE_S)
    try:
        reply = b"".join(piece.data for piece in answer)
    except grpc.RpcError as error:
        details = error.details() or ""
        return details if details.replace("-", "").isalpha() else error.code().name
    return f"{ACCEPTED} ({len(reply)} bytes)"


def _handed_over(make: Callable[[Random], bytes], channel: grpc.Channel, random: Random) -> str:
    message = make(random)
    return _called(_HANDLE, lambda _: [_piece(data) for data in cut(message)], channel, random)


def _cut_off(message: bytes, channel: grpc.Channel, random: Random) -> str:
    """Hand half of a request over, and go away."""

    def half() -> Iterator[bytes]:
        for data in cut(message[: int(random.integers(1, len(message)))]):
            yield _piece(data)
        answer.cancel()

    answer = _method(channel, _HANDLE)(half(), timeout=_PATIENCE_S)
    try:
        list(answer)
    except grpc.RpcError as error:
        return str(error.code().name)
    return ACCEPTED


def _raw(path: Path, make: Callable[[Random], bytes], _: grpc.Channel, random: Random) -> str:
    """Write bytes to the socket itself; return what it does."""
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(0.05)
        plain.connect(str(path))
        try:
            plain.sendall(make(random))
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(4096):
                pass
        except TimeoutError:
            return "waits for more"
        except OSError:
            return "hangs up"
    return "hangs up"
