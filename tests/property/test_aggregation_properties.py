"""The mean of updates: exact, weighted, and blind to the order of arrival."""

import tracemalloc
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from common.errors import UpdateRejected
from common.updates.fixed_point import MOST_EXAMPLES, SCALE, ExactSum, to_fixed
from server.aggregation import RunningMean, RunningSum

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

FINITE = st.floats(-65504, 65504, width=16)


@dataclass(frozen=True)
class Update:
    site: str
    examples: int
    arrays: dict[str, NDArray[np.float16]]


@st.composite
def updates(draw: st.DrawFn) -> list[Update]:
    shape = draw(array_shapes(max_dims=3, max_side=4))
    weights = arrays(np.float16, shape, elements=FINITE)
    biases = arrays(np.float16, (2,), elements=FINITE)
    return [
        Update(f"s{i}", draw(st.integers(1, 10_000)), {"w": draw(weights), "b": draw(biases)})
        for i in range(draw(st.integers(1, 6)))
    ]


def mean_of(sent: list[Update]) -> dict[str, NDArray[np.float64]]:
    mean = RunningMean(sent[0].arrays)
    for update in sent:
        mean.add(update.site, update.examples, update.arrays)
    return mean.mean()


def test_every_finite_float16_is_a_whole_number_of_units() -> None:
    everything = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = everything[np.isfinite(everything)]
    fixed = to_fixed(finite)
    assert fixed.dtype == np.int64
    np.testing.assert_array_equal(fixed / SCALE, finite.astype(np.float64))
    np.testing.assert_array_equal(fixed, [int(value * SCALE) for value in finite.astype(object)])


@given(updates())
def test_equals_numpy_average(sent: list[Update]) -> None:
    mean = mean_of(sent)
    for name, values in mean.items():
        expected = np.average(
            [u.arrays[name].astype(np.float64) for u in sent],
            axis=0,
            weights=[u.examples for u in sent],
        )
        assert values.shape == expected.shape
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)


@given(updates(), st.randoms(use_true_random=False))
def test_every_order_of_arrival_gives_the_same_bits(sent: list[Update], random: object) -> None:
    shuffled = list(sent)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, again = mean_of(sent), mean_of(shuffled)
    for name in first:
        assert first[name].tobytes() == again[name].tobytes()


@given(updates())
def test_splitting_one_site_in_two_changes_no_bit(sent: list[Update]) -> None:
    """A hospital that registers two departments must not gain or lose influence."""
    whole, *rest = (replace(update, examples=2 * update.examples) for update in sent)
    half = replace(whole, examples=whole.examples // 2)
    split, together = mean_of([half, half, *rest]), mean_of([whole, *rest])
    for name in together:
        assert split[name].tobytes() == together[name].tobytes()


@given(updates())
def test_a_rejected_update_leaves_nothing_behind(sent: list[Update]) -> None:
    mean = RunningMean(sent[0].arrays)
    for update in sent:
        mean.add(update.site, update.examples, update.arrays)
    before = mean.mean()
    spoilt = sent[0].arrays | {"w": sent[0].arrays["w"] + np.float16(np.nan)}
    wrongs: list[dict[str, NDArray[Any]]] = [
        spoilt,
        {"b": sent[0].arrays["b"]},
        {**sent[0].arrays, "x": np.zeros(1)},
    ]
    for wrong in wrongs:
        with pytest.raises(UpdateRejected, match="bad-site"):
            mean.add("bad-site", 5, wrong)
    assert mean.examples == sum(update.examples for update in sent)
    for name, values in mean.mean().items():
        assert values.tobytes() == before[name].tobytes()


def test_the_sum_holds_at_its_limit_and_stops_beyond_it() -> None:
    largest = {"w": np.array([65504, -65504], np.float16)}
    mean = RunningMean(largest)
    mean.add("huge", MOST_EXAMPLES - 1, largest)
    mean.add("one", 1, largest)
    np.testing.assert_array_equal(mean.mean()["w"], [65504.0, -65504.0])
    with pytest.raises(UpdateRejected, match="1 examples"):
        mean.add("late", 1, largest)
    exact = ExactSum(largest)
    with pytest.raises(OverflowError, match=str(MOST_EXAMPLES)):
        exact.add(largest, MOST_EXAMPLES + 1)
    assert exact.examples == 0


@pytest.mark.parametrize("examples", [0, -3])
def test_a_weight_below_one_is_rejected(examples: int) -> None:
    arrays = {"w": np.ones(2, np.float16)}
    with pytest.raises(UpdateRejected, match=f"{examples} examples"):
        RunningMean(arrays).add("empty", examples, arrays)


def test_memory_does_not_grow_with_the_sites() -> None:
    update = {"w": np.ones(100_000, np.float16)}
    mean = RunningMean(update)
    mean.add("first", 3, update)
    tracemalloc.start()
    for number in range(50):
        mean.add(f"site-{number}", 3, update)
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 100_000


@given(st.lists(arrays(np.int64, (3,), elements=st.integers(-(2**40), 2**40)), min_size=1))
def test_integer_sums_equal_numpys(terms: list[NDArray[np.int64]]) -> None:
    total = RunningSum({"h": terms[0]})
    for number, term in enumerate(terms):
        total.add(f"s{number}", {"h": term})
    np.testing.assert_array_equal(total.sums["h"], np.sum(terms, axis=0))


def test_an_integer_sum_that_could_overflow_is_rejected_whole() -> None:
    total = RunningSum({"h": np.zeros(2, np.int64)})
    total.add("one", {"h": np.array([2**62, -5])})
    with pytest.raises(UpdateRejected, match="int64"):
        total.add("two", {"h": np.array([2**62, 7])})
    with pytest.raises(UpdateRejected, match="int64"):
        total.add("three", {"h": np.array([0, -(2**63)])})
    with pytest.raises(UpdateRejected, match="h is float64 for int64"):
        total.add("four", {"h": np.zeros(2)})
    np.testing.assert_array_equal(total.sums["h"], [2**62, -5])
