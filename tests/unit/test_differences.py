"""Differences: the stated error bound, the way back, and divergence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from common.errors import RequestRefused
from common.updates.differences import apply, difference

VALUES = arrays(np.float32, (5,), elements=st.floats(-3e4, 3e4, width=32))


@settings(deadline=None, derandomize=True)
@given(VALUES, VALUES)
def test_the_error_is_within_the_stated_bound(
    new: NDArray[np.float32], old: NDArray[np.float32]
) -> None:
    sent = difference({"w": new}, {"w": old})["w"]
    exact = (new - old).astype(np.float64)
    assert sent.dtype == np.float16
    bound = np.maximum(2.0**-11 * np.abs(exact), 2.0**-25)
    assert (np.abs(sent.astype(np.float64) - exact) <= bound).all()


def test_a_worked_example() -> None:
    old = {"w": np.array([1.0, 2.0, 3.0], np.float32)}
    new = {"w": np.array([1.5, 2.0, 2.75], np.float32)}
    sent = difference(new, old)
    np.testing.assert_array_equal(sent["w"], np.array([0.5, 0, -0.25], np.float16))
    back = apply(old, {"w": sent["w"].astype(np.float64)})
    assert back["w"].dtype == np.float32
    np.testing.assert_array_equal(back["w"], new["w"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -7e4])
def test_divergence_is_refused_and_never_clipped(value: float) -> None:
    old = {"b": np.zeros(3, np.float32), "w": np.zeros((2, 2), np.float32)}
    new = old | {"b": np.array([0, value, 1], np.float32)}
    with pytest.raises(RequestRefused, match="1 of 7 values") as refusal:
        difference(new, old)
    assert "learning rate" in refusal.value.fix


def test_shapes_without_axes_or_values_pass() -> None:
    old = {"scalar": np.array(1, np.float32), "none": np.zeros((0, 3), np.float32)}
    sent = difference(old, old)
    assert sent["scalar"].shape == ()
    assert sent["none"].shape == (0, 3)
    applied = apply(old, {name: a.astype(np.float64) for name, a in sent.items()})
    assert applied["scalar"].shape == ()


def test_the_model_is_rounded_once() -> None:
    """1 + 2^-24 + 2^-49 lies above a tie; a mean rounded to float32 first would lose 2^-49."""
    old = {"w": np.array([1.0], np.float32)}
    moved = apply(old, {"w": np.array([2.0**-24 + 2.0**-49])})
    assert moved["w"][0] == np.nextafter(np.float32(1), np.float32(2))
