"""The SuperNode's pace: in haste while messages come, and no busier than Flower's own else."""

import inspect
import re
import time

import pytest
from flwr.supernode import start_client_internal as loop

from client.supernode import ANSWER_S, EAGER_S, QUICK_S, Pace, quicken


def test_it_is_as_slow_as_flowers_own_until_a_message_came() -> None:
    assert Pace().seconds(3.0, now=0.0) == 3.0


def test_it_is_in_haste_for_a_while_after_a_message() -> None:
    pace = Pace()
    assert pace.seconds(0.5, now=100.0) == ANSWER_S  # a reply is waited for
    assert pace.seconds(3.0, now=101.0) == QUICK_S
    assert pace.seconds(3.0, now=99.9 + EAGER_S) == QUICK_S
    assert pace.seconds(3.0, now=100.0 + EAGER_S) == 3.0
    pace.seconds(0.5, now=500.0)
    assert pace.seconds(3.0, now=501.0) == QUICK_S


def test_it_never_waits_longer_than_flower_would() -> None:
    pace = Pace()
    assert pace.seconds(0.01, now=0.0) == 0.01
    assert pace.seconds(1.5, now=1e6) == 1.5


def test_flowers_loop_sleeps_by_the_clock_that_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It tells of a new version of Flower whose loop sleeps otherwise: look at it, then here."""
    slept = re.findall(r"time\.sleep\(([\d.]+)\)", inspect.getsource(loop))
    assert slept == ["3", "0.5", "0.5"]
    monkeypatch.setattr(loop, "time", time)
    assert quicken()
    clock = vars(loop)["time"]
    assert clock.sleep != time.sleep
    assert clock.monotonic is time.monotonic
    assert not quicken()  # it is no longer the clock that Flower came with
