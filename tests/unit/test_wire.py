"""The wire: what goes in comes out, and no bytes do worse than WireError."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from common.asks import (
    Ask,
    BoosterAsk,
    CalibrationAsk,
    CensusAsk,
    EvaluationAsk,
    FitAsk,
    FitTold,
    MomentsAsk,
    MomentsTold,
    Told,
)
from common.digests import digest_arrays
from common.wire import (
    Reply,
    Request,
    Step,
    WireError,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

DTYPES = st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_])
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
STEPS = st.builds(
    Step,
    study=st.just("a" * 64),
    run=st.sampled_from(["r1", "2026-01-01.a_b"]),
    phase=st.sampled_from(["census", "fusion"]),
    round=st.integers(0, 2**40),
    exchange=st.integers(0, 50),
    site=st.sampled_from(["north", "st-mary-2"]),
)
ASKS: st.SearchStrategy[Ask] = st.one_of(
    st.builds(CensusAsk),
    st.builds(MomentsAsk),
    st.builds(FitAsk, stage=st.sampled_from(["heads", "tails", "fusion"])),
    st.builds(BoosterAsk, level=st.integers(0, 9)),
    st.builds(CalibrationAsk),
    st.builds(EvaluationAsk, temperatures=st.just({"booster": 1.25, "softmax": 0.1})),
)
TOLD: st.SearchStrategy[Told | None] = st.one_of(
    st.none(),
    st.builds(MomentsTold, examples=st.integers(1, 2**40)),
    st.builds(
        FitTold,
        examples=st.integers(1, 99),
        loss_sum=st.floats(0, 1e15),
        validation_examples=st.integers(0, 9),
        validation_correct=st.integers(0, 9),
        validation_loss_sum=st.floats(0, 9),
    ),
)


@st.composite
def named_arrays(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> dict[str, NDArray[Any]]:
    shape = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    return draw(st.dictionaries(names, arrays(DTYPES, shape), max_size=3))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    part_names = NAMES.map(lambda name: name.replace("/", "-"))
    parts = draw(st.dictionaries(part_names, named_arrays(), max_size=3))
    travelling = {name for name in parts if draw(st.booleans())}
    return Request(
        draw(STEPS),
        draw(ASKS),
        {name: digest_arrays(held) for name, held in parts.items()},
        {name: parts[name] for name in travelling},
    )


def replies() -> st.SearchStrategy[Reply]:
    return st.builds(
        Reply,
        step=STEPS,
        request=st.just("b" * 64),
        status=st.sampled_from(["done", "refused", "needs-parts"]),
        told=TOLD,
        arrays=named_arrays(),
        problem=st.text(st.characters(codec="utf-8"), max_size=50),
        fix=st.text(st.characters(codec="utf-8"), max_size=50),
        needs=st.lists(NAMES, max_size=3).map(tuple),
        seconds=st.floats(0, 1e7),
    )


def assert_same_arrays(one: Any, other: Any) -> None:
    assert set(one) == set(other)
    for name in one:
        assert one[name].dtype == other[name].dtype
        assert one[name].shape == other[name].shape
        assert one[name].tobytes() == other[name].tobytes()


@given(requests())
def test_a_request_comes_back_as_it_was(request: Request) -> None:
    again = decode_request(encode_request(request))
    assert (again.step, again.ask, again.parts) == (request.step, request.ask, request.parts)
    assert again.digest == request.digest
    assert set(again.arrays) == set(request.arrays)
    for part in request.arrays:
        assert_same_arrays(request.arrays[part], again.arrays[part])


@given(replies())
def test_a_reply_comes_back_as_it_was(reply: Reply) -> None:
    again = decode_reply(encode_reply(reply))
    for name in ("step", "request", "status", "told", "problem", "fix", "needs", "seconds"):
        assert getattr(again, name) == getattr(reply, name)
    assert_same_arrays(reply.arrays, again.arrays)


def test_a_requests_digest_does_not_depend_on_what_travels() -> None:
    held = {"w": np.arange(3.0)}
    step = Step(study="a" * 64, run="r", phase="fusion", round=1, exchange=0, site="n")
    parts = {"fusion": digest_arrays(held)}
    with_arrays = Request(step, FitAsk(stage="fusion"), parts, {"fusion": held})
    assert with_arrays.digest == Request(step, FitAsk(stage="fusion"), parts).digest
    assert with_arrays.digest != Request(step, FitAsk(stage="heads"), parts).digest
    later = step.model_copy(update={"round": 2})
    assert with_arrays.digest != Request(later, FitAsk(stage="fusion"), parts).digest


def test_of_a_coded_step_the_wire_believes_the_values_and_no_more() -> None:
    step = Step(study="a" * 64, run="r", phase="fusion", round=1, exchange=0, site="n")
    coded: dict[str, NDArray[Any]] = {
        "codes": np.ones(3, np.int8),
        "scales": np.ones(1, np.float16),
    }
    parts, since = {"fusion": "b" * 64}, {"fusion": "c" * 64}
    sent = Request(step, FitAsk(stage="fusion"), parts, {"fusion": coded}, since)
    again = decode_request(encode_request(sent))
    assert again.since == since
    assert_same_arrays(again.arrays["fusion"], coded)
    for wrong in (replace(sent, since={}), replace(sent, arrays={}), replace(sent, parts={})):
        with pytest.raises(WireError):
            decode_request(encode_request(wrong))


def survives(data: bytes) -> None:
    for decode in (decode_request, decode_reply):
        try:
            decode(data)
        except WireError:
            continue


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_wire_error(data: bytes) -> None:
    survives(data)
    survives(b"LKF1" + data)
    survives(b"LKF1" + (2).to_bytes(4, "big") + b"{}" + data)


@given(st.one_of(requests().map(encode_request), replies().map(encode_reply)), st.data())
def test_a_damaged_message_raises_nothing_but_wire_error(
    message: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(WireError):
        decode_request(message[:cut])
    with pytest.raises(WireError):
        decode_reply(message[:cut])
    damaged = bytearray(message)
    damaged[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(damaged))


@given(named_arrays().filter(bool), st.data())
def test_changed_values_never_pass_for_what_was_sent(
    held: dict[str, NDArray[Any]], data: st.DataObject
) -> None:
    step = Step(study="a" * 64, run="r", phase="fusion", round=1, exchange=0, site="n")
    message = encode_reply(Reply(step, "b" * 64, "done", arrays=held))
    values = sum(array.nbytes for array in held.values())
    if not values:
        return
    damaged = bytearray(message)
    damaged[-data.draw(st.integers(1, values))] ^= 1
    with pytest.raises(WireError):
        decode_reply(bytes(damaged))


@pytest.mark.parametrize("header", ["[" * 9000, '{"a": NaN}', "null", '"\\ud800"', "1" * 5000])
def test_hostile_headers_raise_wire_error(header: str) -> None:
    text = header.encode()
    for decode in (decode_request, decode_reply):
        with pytest.raises(WireError):
            decode(b"LKF1" + len(text).to_bytes(4, "big") + text)
