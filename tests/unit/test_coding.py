"""Coded updates: against plain numpy, the law of error feedback, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from common.errors import RequestRefused
from common.updates.coding import CodingError, Way, decoded, fed_back, layout
from common.updates.int8 import LARGEST_SCALE, SMALLEST_SCALE, quantised
from common.updates.topk import largest

Arrays = dict[str, NDArray[Any]]
WAYS: list[tuple[Way, float]] = [("int8", 1.0), ("topk", 0.3), ("topk", 1.0), ("topk", 1e-9)]
# The whole range: zeros, subnormals of float16 and of float32, the largest that float16 holds.
VALUES = st.one_of(
    st.floats(-65504, 65504, width=32),
    st.floats(-(2.0**-10), 2.0**-10, width=32),
    st.sampled_from([0.0, -0.0, 1e-45, -(2.0**-24), 2.0**-26, 65504.0, -65504.0]),
)
SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
CHANGES = st.dictionaries(
    st.sampled_from(["a/w", "a/b", "c", "d"]), arrays(np.float32, SHAPES, elements=VALUES),
    min_size=1,
)  # fmt: skip
repeatable = settings(deadline=None, derandomize=True, max_examples=40)


def sizes(of: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in of.items()}


def channels(values: NDArray[Any]) -> list[NDArray[Any]]:
    return list(values) if values.ndim > 1 else [values]


@repeatable
@given(CHANGES)
def test_int8_is_within_half_a_scale_of_each_channel(change: Arrays) -> None:
    """The reference: a loop over channels, in float64, without a line of what is tested."""
    read = decoded(quantised(change), sizes(change), "int8", 1.0)
    for name, values in change.items():
        for got, exact in zip(channels(read[name]), channels(values), strict=True):
            x = exact.astype(np.float64)
            largest_value = np.abs(x).max(initial=0.0)
            scale = largest_value / 127 * (1 + 2.0**-10) + 2.0**-24
            bound = scale / 2 + 2.0**-11 * np.abs(x) + 2.0**-25
            bound += 36 * (largest_value > 65468)
            assert (np.abs(got.astype(np.float64) - x) <= bound).all()


def test_int8_by_hand() -> None:
    change = {
        "b": np.array([0.0, 0.0, 0.0], np.float32),
        "w": np.array([[127.0, -63.5, 0.4], [0.25, -0.5, 0.0]], np.float32),
    }
    sent = quantised(change)
    # A vector is one channel; of zeros alone the scale is the smallest. 0.5 / 127 lies between
    # two float16 numbers, and the larger of them is taken. Of two whole numbers as near, the even.
    up = np.float16(0.5 / 127)
    up = up if float(up) >= 0.5 / 127 else np.nextafter(up, np.float16(1))
    np.testing.assert_array_equal(sent["scales"], np.array([2.0**-24, 1.0, up], np.float16))
    np.testing.assert_array_equal(sent["codes"], [0, 0, 0, 127, -64, 0, 63, -127, 0])
    read = decoded(sent, sizes(change), "int8", 1.0)
    np.testing.assert_array_equal(read["w"][0], np.array([127, -64, 0], np.float16))
    assert read["w"].dtype == read["b"].dtype == np.float16


@repeatable
@given(CHANGES, st.floats(0.01, 1))
def test_the_largest_are_kept_and_of_equal_ones_the_first(change: Arrays, share: float) -> None:
    """The reference: Python's stable sort by size."""
    flat = np.concatenate([change[name].ravel() for name in sorted(change)])
    count = min(flat.size, max(1, round(share * flat.size)))
    places = sorted(sorted(range(flat.size), key=lambda i: -abs(float(flat[i])))[:count])
    expected = np.zeros(flat.size, np.float16)
    expected[places] = flat[places].astype(np.float16)
    sent = largest(change, share)
    np.testing.assert_array_equal(sent["values"], flat[places].astype(np.float16))
    read = decoded(sent, sizes(change), "topk", share)
    got = np.concatenate([read[name].ravel() for name in sorted(read)])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("places", [[0], [254], [255], [256], [509, 510], [999], [0, 998, 999]])
def test_values_far_apart_are_found_again(places: list[int]) -> None:
    values = np.zeros(1000, np.float32)
    values[places] = 1 + np.arange(len(places), dtype=np.float32)
    share = len(places) / 1000
    sent = largest({"w": values}, share)
    np.testing.assert_array_equal(
        decoded(sent, {"w": (1000,)}, "topk", share)["w"], values.astype(np.float16)
    )


@pytest.mark.parametrize(("way", "share"), WAYS)
@repeatable
@given(CHANGES)
def test_what_travels_has_the_types_and_lengths_that_were_forecast(
    way: Way, share: float, change: Arrays
) -> None:
    sent, read, _ = fed_back(change, {}, way, share)
    assert {name: (a.dtype.name, a.size) for name, a in sent.items()} == layout(
        sizes(change), way, share
    )
    assert sizes(read) == sizes(change)
    assert all(a.dtype == np.float16 and np.isfinite(a).all() for a in read.values())


@pytest.mark.parametrize(("way", "share"), WAYS)
@repeatable
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(-6, 3))
def test_what_was_read_and_what_is_left_add_up_to_the_changes(
    way: Way, share: float, seed: int, rounds: int, power: float
) -> None:
    chance = np.random.default_rng(seed)
    carried: Arrays = {}
    changes, reads = np.zeros((7, 3)), np.zeros((7, 3))
    most = 0.0
    for _ in range(rounds):
        change = (chance.standard_t(2, (7, 3)) * 10.0**power).clip(-1e3, 1e3).astype(np.float32)
        _, read, carried_now = fed_back({"w": change}, carried, way, share)
        most = max(most, float(np.abs(change + carried.get("w", 0.0)).max()))
        carried = dict(carried_now)
        changes += change
        reads += read["w"]
    # Two roundings to float32 a round: of the sum that is coded, and of what is left of it.
    bound = rounds * 2 * 2.0**-24 * most + 2.0**-140
    assert np.abs(reads + carried["w"] - changes).max() <= bound


def test_error_feedback_brings_through_what_rounding_alone_would_lose() -> None:
    """A value far below half a scale is never sent without a residual, and in time with one."""
    change = {"w": np.array([1.0, 1e-3], np.float32)}
    alone, fed = 0.0, 0.0
    carried: Arrays = {}
    for _ in range(20):
        alone += float(fed_back(change, {}, "int8", 1.0)[1]["w"][1])
        _, read, left = fed_back(change, carried, "int8", 1.0)
        carried = dict(left)
        fed += float(read["w"][1])
    assert alone == 0.0
    assert fed == pytest.approx(20e-3, abs=1 / 127)
    assert math.isclose(fed + float(carried["w"][1]), 20e-3, rel_tol=1e-5)


@pytest.mark.parametrize(("way", "share"), WAYS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 7e4, -1e38])
def test_divergence_is_refused(way: Way, share: float, value: float) -> None:
    change = {"b": np.zeros(2, np.float32), "w": np.array([[1, value, 0]], np.float32)}
    with pytest.raises(RequestRefused, match="1 of 5 values") as caught:
        fed_back(change, {}, way, share)
    caught.match("lower the learning rate")


def test_a_name_that_nothing_is_left_of_starts_from_nothing() -> None:
    """The tails join the heads after the head rounds, whose residual goes on."""
    change = {"heads/w": np.ones(2, np.float32), "tails/w": np.ones(3, np.float32)}
    _, read, left = fed_back(change, {"heads/w": np.ones(2, np.float32)}, "topk", 0.4)
    np.testing.assert_array_equal(read["heads/w"], [2, 2])
    np.testing.assert_array_equal(left["tails/w"], [1, 1, 1])


CHANGE = {"b": np.arange(3, dtype=np.float32), "w": np.ones((300, 2), np.float32)}
INT8 = quantised(CHANGE)
TOPK = largest(CHANGE, 0.01)


def with_scale(value: float) -> Arrays:
    scales = INT8["scales"].copy()
    scales[1] = value
    return INT8 | {"scales": scales}


def with_skips(change: dict[int, int]) -> Arrays:
    skipped = TOPK["skipped"].copy()
    for place, value in change.items():
        skipped[place] = value
    return TOPK | {"skipped": skipped}


HOSTILE: dict[str, tuple[Way, Arrays]] = {
    "not a number": ("int8", with_scale(np.nan)),
    "infinite scale": ("int8", with_scale(np.inf)),
    "zero scale": ("int8", with_scale(0.0)),
    "negative scale": ("int8", with_scale(-1.0)),
    "large scale": ("int8", with_scale(516.0)),
    "-128 of the largest scale": (
        "int8",
        with_scale(float(LARGEST_SCALE)) | {"codes": np.full_like(INT8["codes"], -128)},
    ),
    "float codes": ("int8", INT8 | {"codes": INT8["codes"].astype(np.float32)}),
    "codes in rows": ("int8", INT8 | {"codes": INT8["codes"].reshape(3, -1)}),
    "a code too many": ("int8", INT8 | {"codes": np.zeros(604, np.int8)}),
    "no scales": ("int8", {"codes": INT8["codes"]}),
    "one array more": ("int8", INT8 | {"x": np.zeros(1)}),
    "another way": ("topk", INT8),
    "nothing": ("topk", {}),
    "a value too few": ("topk", TOPK | {"values": TOPK["values"][1:]}),
    "a value not finite": ("topk", TOPK | {"values": np.full_like(TOPK["values"], np.inf)}),
    "a place too few": ("topk", with_skips({0: 255})),
    "a place too many": ("topk", with_skips({-1: 0})),
    "beyond the end": ("topk", with_skips({0: 254, 1: 254, 2: 254})),
    "too many skips": ("topk", TOPK | {"skipped": np.full(10**6, 255, np.uint8)}),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_no_coding_makes_is_refused(name: str) -> None:
    way, sent = HOSTILE[name]
    with pytest.raises(CodingError, match="compare the leukofed versions"):
        decoded(sent, sizes(CHANGE), way, 0.01)


def test_the_bounds_of_scales_are_allowed() -> None:
    for value in (float(SMALLEST_SCALE), float(LARGEST_SCALE)):
        decoded(with_scale(value), sizes(CHANGE), "int8", 1.0)
    larger = float(np.nextafter(LARGEST_SCALE, np.float16(np.inf)))
    assert float(LARGEST_SCALE) * 127 <= 65504 < larger * 127
