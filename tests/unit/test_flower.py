"""Bytes in Flower's records: there and back through its own serialisation."""

import os

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from common.asks import CensusAsk
from common.flower import (
    BLOCK,
    HEAD,
    RAW,
    RECORD,
    SHORT,
    WHOLE,
    describe,
    from_records,
    to_records,
)
from common.troubles import MEANING, Trouble
from common.wire import Request, Step, WireError, encode_request, header_of
from simulations.engines.inprocess import LoopbackGrid


def message_of(records: RecordDict) -> Message:
    LoopbackGrid({})  # gives this process the identity that every Message carries
    return Message(records, 1, "query")


def request_bytes(site: str, values: int = 1000) -> bytes:
    step = Step(study="a" * 64, run="r", phase="census", round=1, exchange=0, site=site)
    arrays = {"model": {"w": np.random.default_rng(5).random(values)}}
    return encode_request(Request(step, CensusAsk(), {"model": "b" * 64}, arrays))


@pytest.mark.parametrize(
    "data",
    [
        request_bytes("north"), b"", b"x", b"LKF1\xff\xff\xff\xffshort", bytes(9),
        request_bytes("north", 300_000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("head", [0, 1, 5000])
def test_bytes_survive_flowers_serialisation(data: bytes, head: int) -> None:
    message = message_of(to_records(data, head))
    assert from_records(message) == data
    carried = {key: thing.deflate() for key, thing in get_all_nested_objects(message).items()}
    arrived = inflate_object_from_contents(message.object_id, carried)
    assert isinstance(arrived, Message)
    assert from_records(arrived) == data


@pytest.mark.parametrize(("size", "objects"), [(0, 3), (SHORT, 3), (SHORT + 1, 7)])
def test_a_short_message_is_of_few_objects(size: int, objects: int) -> None:
    """Each costs a request on the way to the SuperLink, and one on the way from there."""
    message = message_of(to_records(os.urandom(size), 100))
    assert len(get_all_nested_objects(message)) == objects
    assert len(from_records(message)) == size


def test_the_arrays_for_two_sites_are_one_chunk_to_flower() -> None:
    """The sites' names differ in length, which in one array would shift every later chunk."""
    chunks = []
    for site in ("north", "st-mary-hospital"):
        data = request_bytes(site, 800_000)
        message = message_of(to_records(data, len(header_of(data))))
        chunks.append(set(get_all_nested_objects(message)))
    shared = chunks[0] & chunks[1]
    assert len(shared) == 3  # 6.4 MB are two chunks of at most 5 MiB, and the Array that lists them


def array(stype: str) -> Array:
    return Array(dtype="uint8", shape=(1,), stype=stype, data=b"x")


@pytest.mark.parametrize(
    "records",
    [
        RecordDict(),
        RecordDict({"other": ArrayRecord({HEAD: array(RAW), BLOCK: array(RAW)})}),
        RecordDict({RECORD: ArrayRecord({HEAD: array(RAW)})}),
        RecordDict({RECORD: ConfigRecord({WHOLE: "text"})}),
        RecordDict({RECORD: ConfigRecord({WHOLE: [b"one", b"two"]})}),
        RecordDict({RECORD: ConfigRecord({WHOLE: b"", "more": b""})}),
        RecordDict({RECORD: MetricRecord({WHOLE: 1.0})}),
        RecordDict({RECORD: ArrayRecord({HEAD: array(RAW), BLOCK: array("numpy.ndarray")})}),
    ],
)
def test_foreign_records_raise_wire_error(records: RecordDict) -> None:
    with pytest.raises(WireError, match="no records of this protocol"):
        from_records(message_of(records))


def test_errors_are_told_in_words_without_the_far_ends_text() -> None:
    raised = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert describe(Error(raised, "MemoryError")).problem == "its app failed (MemoryError)"
    assert describe(Error(raised, "<class 'OSError'>:<'/data/ward'>")).problem == "its app failed"
    assert describe(Error(ErrorCode.NODE_UNAVAILABLE)).problem == "its node was lost"
    assert describe(Error(77)).problem == "Flower reports error 77"


@pytest.mark.parametrize("trouble", Trouble)
def test_a_trouble_is_told_in_the_words_that_both_ends_know(trouble: Trouble) -> None:
    error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, trouble.value)
    assert describe(error) == MEANING[trouble]
