"""Messages in Flower's records: bytes to a RecordDict and back, and its errors in plain words."""

import re

from flwr.app import Array, ArrayRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from common.wire import WireError

MESSAGE_TYPE = "query"
"""Flower's message type of every request of ours; the kind of work stands in the bytes."""
RECORD, HEAD, BLOCK, RAW = "leukofed", "head", "block", "bytes"
_REASONS = {
    ErrorCode.LOAD_CLIENT_APP_EXCEPTION: "its app could not be loaded",
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION: "its app failed",
    ErrorCode.MESSAGE_UNAVAILABLE: "its time ran out",
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE: "its reply was lost on the way",
    ErrorCode.NODE_UNAVAILABLE: "its node was lost",
    ErrorCode.INVALID_FAB: "it refused the app that was sent",
    ErrorCode.CLIENT_APP_CRASHED: "its app died",
}


def to_records(data: bytes) -> RecordDict:
    """Pack a message's bytes.

    The header differs from site to site, the arrays after it mostly do not; as two arrays of
    raw bytes they are cut into chunks apart, and Flower stores equal chunks once for all sites.
    """
    cut = 8 + int.from_bytes(data[4:8], "big")
    return RecordDict({RECORD: ArrayRecord({HEAD: _raw(data[:cut]), BLOCK: _raw(data[cut:])})})


def from_records(message: Message) -> bytes:
    """Unpack the bytes that `to_records` packed into a message.

    Raises:
        WireError: the message holds no such records.
    """
    record = message.content.array_records.get(RECORD) if message.has_content() else None
    if (
        record is None
        or set(record) != {HEAD, BLOCK}
        or any(a.stype != RAW for a in record.values())
    ):
        raise WireError(
            "the Flower message holds no records of this protocol",
            fix="compare the leukofed versions at both ends",
        )
    return record[HEAD].data + record[BLOCK].data


def describe(error: Error) -> str:
    """Say what became of a message; of the far end's own text at most a class name is repeated."""
    words = _REASONS.get(error.code, f"Flower reports error {error.code}")
    name = error.reason or ""
    return f"{words} ({name})" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", name) else words


def _raw(data: bytes) -> Array:
    return Array(dtype="uint8", shape=(len(data),), stype=RAW, data=data)
