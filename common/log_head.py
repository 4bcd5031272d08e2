"""The head of a site's egress log, as it travels before every reply and stands in the record.

Every line of the log carries the digest of the line before it. So the number of lines and the
digest of the last one, the head, stand for the whole log: a log that is changed, shortened or
written anew no longer holds the heads that were told of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from struct import Struct
from typing import Any

from pydantic import Field, ValidationError

from common.asks import Digest
from common.errors import CorruptFile
from common.study.strict import Strict
from common.wire import WireError

_MAGIC = b"LKH1"
_FRAME = Struct(">4sQ32s")  # magic, lines, digest


class LogHead(Strict):
    """How long a log is, and what its last line is."""

    lines: int = Field(ge=0, lt=1 << 63)
    digest: Digest
    """SHA-256 of the last line's bytes, without its line end."""


EMPTY = LogHead(lines=0, digest="0" * 64)
"""The head of a log without lines."""


def with_head(body: bytes, head: LogHead) -> bytes:
    """Put a log's head before an encoded reply."""
    return _FRAME.pack(_MAGIC, head.lines, bytes.fromhex(head.digest)) + body


def split_head(data: bytes) -> tuple[LogHead, bytes]:
    """Part a log's head from the encoded reply behind it; the reply is not looked at.

    Raises:
        WireError: the bytes do not begin with a head.
    """
    if len(data) >= _FRAME.size and data.startswith(_MAGIC):
        _, lines, digest = _FRAME.unpack_from(data)
        with suppress(ValidationError):
            return LogHead(lines=lines, digest=digest.hex()), data[_FRAME.size :]
    raise WireError(
        "the bytes are not a message that tells the head of its site's log",
        fix="compare the leukofed versions at both ends",
    )


def heads_told(events: Iterable[Mapping[str, Any]], site: str) -> Iterator[LogHead]:
    """Yield the heads that a site told, from a record's events, in their order.

    Raises:
        CorruptFile: an exchange holds something else in their place.
    """
    for event in events:
        if event.get("event") != "exchange":
            continue
        try:
            told = event.get("log_heads", {}).get(site)
            if told is not None:
                yield LogHead.model_validate(told)
        except (AttributeError, ValidationError) as error:
            raise CorruptFile(
                f"an exchange of the record holds no usable head of the log of {site}",
                fix="get the record again from the coordinator",
                local_detail=str(event.get("time", "")),
            ) from error
