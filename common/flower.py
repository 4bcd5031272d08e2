"""Messages in Flower's records: bytes to a RecordDict and back, and its errors in plain words."""

import re
from dataclasses import replace

from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from common.troubles import MEANING, Meaning, Trouble
from common.wire import WireError

MESSAGE_TYPE = "query"
"""Flower's message type of every request of ours; the kind of work stands in the bytes."""
RECORD, HEAD, BLOCK, RAW, WHOLE = "leukofed", "head", "block", "bytes", "whole"
SHORT = 2 << 20
"""Up to so many bytes a message is one value. Each object of a message is fetched by a request of
its own, wherever it goes: a message of one value is three objects, one of two arrays is seven."""
_LOG = "see this site's own log"
_REASONS = {
    ErrorCode.LOAD_CLIENT_APP_EXCEPTION: Meaning(
        "its app could not be loaded", "compare the leukofed and flwr versions at both ends"
    ),
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION: Meaning("its app failed", _LOG),
    # Flower's word too for a reply that was announced, and whose pieces could not be fetched.
    ErrorCode.MESSAGE_UNAVAILABLE: Meaning("its time ran out, or its reply was lost", _LOG, True),
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE: Meaning("its reply was lost on the way", _LOG, True),
    ErrorCode.NODE_UNAVAILABLE: Meaning(
        "its node was lost", "see that this site's SuperNode is running", True
    ),
    ErrorCode.INVALID_FAB: Meaning(
        "it refused the app that was sent", "send the app that this site installed"
    ),
    ErrorCode.CLIENT_APP_CRASHED: Meaning("its app died", _LOG, True),
}


def to_records(data: bytes, head: int = 0) -> RecordDict:
    """Pack a message's bytes.

    Args:
        data: the message.
        head: how many of its bytes differ from site to site, while those after them mostly do
            not. As two arrays of raw bytes they are cut into chunks apart, and Flower stores
            equal chunks once for all sites.
    """
    if len(data) <= SHORT:
        return RecordDict({RECORD: ConfigRecord({WHOLE: data})})
    return RecordDict({RECORD: ArrayRecord({HEAD: _raw(data[:head]), BLOCK: _raw(data[head:])})})


def from_records(message: Message) -> bytes:
    """Unpack the bytes that `to_records` packed into a message.

    Raises:
        WireError: the message holds no such records.
    """
    record = message.content.get(RECORD) if message.has_content() else None
    if isinstance(record, ConfigRecord) and set(record) == {WHOLE}:
        data = record[WHOLE]
        if isinstance(data, bytes):
            return data
    if (
        isinstance(record, ArrayRecord)
        and set(record) == {HEAD, BLOCK}
        and all(a.stype == RAW for a in record.values())
    ):
        return record[HEAD].data + record[BLOCK].data
    raise WireError(
        "the Flower message holds no records of this protocol",
        fix="compare the leukofed versions at both ends",
    )


def describe(error: Error) -> Meaning:
    """Say what became of a message; of the far end's own text at most a class name is repeated."""
    reason = error.reason or ""
    if reason in list(Trouble):
        return MEANING[Trouble(reason)]
    known = _REASONS.get(error.code, Meaning(f"Flower reports error {error.code}", _LOG))
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", reason):
        return replace(known, problem=f"{known.problem} ({reason})")
    return known


def _raw(data: bytes) -> Array:
    return Array(dtype="uint8", shape=(len(data),), stype=RAW, data=data)
