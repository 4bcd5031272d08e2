"""Laws of which request may take the place of another at a worker."""

from hypothesis import given, settings
from hypothesis import strategies as st

from client.single_flight import _is_newer
from common.asks import CensusAsk
from common.signing import Signed
from common.study.phases import PHASE_ORDER
from common.wire import Request, Step

laws = settings(deadline=None, derandomize=True)
PLACED = st.builds(
    lambda launch, **step: Signed(launch, Request(Step(**step), CensusAsk()), b""),
    launch=st.integers(0, 2),
    study=st.sampled_from(["a" * 64, "b" * 64]),
    run=st.sampled_from(["r1", "r2"]),
    phase=st.sampled_from([*map(str, PHASE_ORDER), "mining"]),
    round=st.integers(0, 2),
    exchange=st.integers(0, 2),
    site=st.just("north"),
)


@laws
@given(PLACED)
def test_nothing_is_newer_than_itself(one: Signed) -> None:
    assert not _is_newer(one, one)


@laws
@given(PLACED, PLACED, PLACED)
def test_newer_is_a_strict_order_of_some(one: Signed, two: Signed, three: Signed) -> None:
    assert not (_is_newer(one, two) and _is_newer(two, one))
    if _is_newer(one, two) and _is_newer(two, three):
        assert _is_newer(one, three)


@laws
@given(PLACED, PLACED)
def test_within_a_launch_and_run_the_later_place_is_the_newer(one: Signed, two: Signed) -> None:
    """By the order of a study's phases, then of rounds, then of exchanges; not by their names."""
    order = {str(name): number for number, name in enumerate(PHASE_ORDER)}
    at, before = one.request.step, two.request.step
    keys = [(order.get(s.phase, -1), s.round, s.exchange) for s in (at, before)]
    if one.launch == two.launch and (at.study, at.run) == (before.study, before.run):
        assert _is_newer(one, two) == (keys[0] > keys[1])
