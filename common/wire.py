"""Request and reply: what they hold, and how they become bytes.

A message is a magic number, the length of a JSON header, the header, and the arrays as one
safetensors block. The header names the digest of every array part, so that a part the receiver
already holds need not travel again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from common.asks import Ask, Digest, Told
from common.digests import canonical_json, digest_arrays, digest_value
from common.errors import LeukofedError
from common.parts import Arrays, by_part, flattened
from common.study.strict import Strict

MAGIC = b"LKF1"
MAX_HEADER = 1 << 20
Header = TypeVar("Header")


class WireError(LeukofedError):
    """Bytes are not a well-formed message."""


class Step(Strict):
    """Where in a run an exchange stands; a site answers each step once."""

    study: Digest
    """Digest of the resolved study."""
    run: str = Field(pattern=r"^[A-Za-z0-9._-]{1,160}$")
    """The run; a new run is a new set of steps."""
    phase: str = Field(pattern=r"^[a-z]{1,20}$")
    round: int = Field(ge=0)
    exchange: int = Field(ge=0)
    """Counts the exchanges within a round."""
    site: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    rehearsal: bool = False
    """Whether the site answers from generated images, and keeps the answer apart from its real
    ones; a step of a rehearsal is never a step of a run."""

    @property
    def name(self) -> str:
        """The step in words, for a log."""
        exchange = f", exchange {self.exchange}" if self.exchange else ""
        kind = "rehearsal" if self.rehearsal else "run"
        return f"{self.phase}, round {self.round}{exchange} of {kind} {self.run}"


@dataclass(frozen=True)
class Request:
    """What the coordinator asks of one site.

    `parts` names, by digest, the sets of arrays that the work needs; `arrays` holds those parts
    that travel with this message, the others are believed to be at the site already. Of a part
    that `since` names, what travels is the coded step (`common.updates.coding`, int8) from the part
    of that digest.
    """

    step: Step
    ask: Ask
    parts: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, Arrays] = field(default_factory=dict)
    since: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over step, ask and the parts' digests; the same whichever parts travel."""
        return digest_value(
            [self.step.model_dump(), self.ask.model_dump(mode="json"), dict(self.parts)]
        )


@dataclass(frozen=True)
class Reply:
    """A site's answer: done, refused, or in need of parts that did not travel."""

    step: Step
    request: str  # digest of the request it answers
    status: Literal["done", "refused", "needs-parts"]
    told: Told | None = None
    arrays: Arrays = field(default_factory=dict)
    problem: str = ""
    fix: str = ""
    needs: tuple[str, ...] = ()
    seconds: float = 0.0  # the site's own time; a fact about a host, outside every digest


class _RequestHeader(Strict):
    step: Step
    ask: Ask
    parts: dict[str, Digest]
    travelling: tuple[str, ...]
    since: dict[str, Digest] = {}


class _ReplyHeader(Strict):
    step: Step
    request: Digest
    status: Literal["done", "refused", "needs-parts"]
    told: Told | None
    problem: str = Field(max_length=2000)
    fix: str = Field(max_length=2000)
    needs: tuple[str, ...]
    seconds: float = Field(ge=0, le=1e7)
    content: Digest


_REQUEST = TypeAdapter(_RequestHeader)
_REPLY = TypeAdapter(_ReplyHeader)


def encode_request(request: Request) -> bytes:
    """Serialise a request."""
    header = _RequestHeader(
        step=request.step,
        ask=request.ask,
        parts=dict(request.parts),
        travelling=tuple(sorted(request.arrays)),
        since=dict(request.since),
    )
    return _frame(header, flattened(request.arrays))


def decode_request(data: bytes) -> Request:
    """Read a request.

    Raises:
        WireError: the bytes are malformed, or a part that travels whole is not what its digest
            says. Of a coded step only the receiver can tell, who holds what it starts from.
    """
    raw, flat = _unframe(data)
    header = _validated(_REQUEST, raw)
    found = by_part(flat)
    if not set(found) <= set(header.travelling):
        raise WireError("the message holds an array of no part", fix=_FIX)
    arrays: dict[str, Arrays] = {part: found.get(part, {}) for part in header.travelling}
    for part, held in arrays.items():
        if part not in header.since and header.parts.get(part) != digest_arrays(held):
            raise WireError(f"part {part!r} is not what its digest says", fix=_FIX)
    if not set(header.since) <= set(header.parts).intersection(header.travelling):
        raise WireError("the message tells of a step that does not travel", fix=_FIX)
    return Request(header.step, header.ask, header.parts, arrays, header.since)


def decode_header(data: bytes) -> Request:
    """Read a request without its arrays.

    Raises:
        WireError: the bytes do not begin as a request does.
    """
    header = _validated(_REQUEST, header_of(data)[8:])
    return Request(header.step, header.ask, header.parts)


def header_of(data: bytes) -> bytes:
    """Return the bytes of a message that precede its arrays; they name every array's digest.

    Raises:
        WireError: the bytes do not begin as a message does.
    """
    length = int.from_bytes(data[4:8], "big")
    if data[:4] != MAGIC or length > MAX_HEADER or len(data) < 8 + length:
        raise WireError("the bytes are not a message of this protocol", fix=_FIX)
    return data[: 8 + length]


def encode_reply(reply: Reply) -> bytes:
    """Serialise a reply."""
    header = _ReplyHeader(
        step=reply.step,
        request=reply.request,
        status=reply.status,
        told=reply.told,
        problem=reply.problem,
        fix=reply.fix,
        needs=reply.needs,
        seconds=reply.seconds,
        content=digest_arrays(reply.arrays),
    )
    return _frame(header, reply.arrays)


def decode_reply(data: bytes) -> Reply:
    """Read a reply.

    Raises:
        WireError: the bytes are malformed, or the arrays are not what their digest says.
    """
    raw, arrays = _unframe(data)
    header = _validated(_REPLY, raw)
    if digest_arrays(arrays) != header.content:
        raise WireError("the arrays are not what their digest says", fix=_FIX)
    return Reply(
        header.step,
        header.request,
        header.status,
        header.told,
        arrays,
        header.problem,
        header.fix,
        header.needs,
        header.seconds,
    )


_FIX = "compare the leukofed versions at both ends"


def _frame(header: Strict, arrays: Arrays) -> bytes:
    text = canonical_json(header.model_dump(mode="json"))
    block = save_safetensors({name: np.asarray(a, order="C") for name, a in arrays.items()})
    return b"".join((MAGIC, len(text).to_bytes(4, "big"), text, block))


def _unframe(data: bytes) -> tuple[bytes, dict[str, NDArray[Any]]]:
    header = header_of(data)
    try:
        return header[8:], load_safetensors(data[len(header) :])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WireError("the arrays of the message cannot be read", fix=_FIX) from error


def _validated(adapter: TypeAdapter[Header], raw: bytes) -> Header:
    try:
        return adapter.validate_python(json.loads(raw))
    except (ValidationError, ValueError, RecursionError) as error:
        raise WireError("the header of the message does not fit its schema", fix=_FIX) from error
