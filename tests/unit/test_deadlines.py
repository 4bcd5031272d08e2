import pytest

from common.asks import (
    BoosterTold,
    CalibrationAsk,
    CensusAsk,
    CensusTold,
    EvaluationAsk,
    FitAsk,
    MomentsAsk,
)
from server.deadlines import (
    Pace,
    Paces,
    Patience,
    examples_told,
    wait_s,
    work_name,
)
from tests.support.exchanges import FIT_TOLD

GENEROUS = Patience(most_s=3600.0, factor=4.0, floor_s=60.0)


@pytest.mark.parametrize(
    ("slowest_s", "waited_s"),
    [
        (None, 3600.0),  # nothing is known
        (0.0, 60.0),  # the floor alone
        (10.0, 100.0),  # 60 + 4 * 10
        (600.0, 2460.0),
        (885.0, 3600.0),  # 60 + 4 * 885, just the most
        (10_000.0, 3600.0),  # never above it
    ],
)
def test_the_wait_is_what_is_known_times_the_factor_and_the_floor(
    slowest_s: float | None, waited_s: float
) -> None:
    slowest = None if slowest_s is None else Pace(slowest_s, 40)
    assert wait_s(slowest, GENEROUS) == pytest.approx(waited_s)


def test_the_slowest_reply_to_the_same_work_is_what_counts() -> None:
    """The first round fills the cache; a site that has lost it needs as long again."""
    paces = Paces()
    told = [(200.0, 3600.0), (8.0, 860.0), (9.0, 860.0), (230.0, 860.0), (7.0, 980.0)]
    for seconds, waited in told:
        assert wait_s(paces.of("north", "backbones", "fit tails"), GENEROUS) == waited
        paces.learn("north", "backbones", "fit tails", Pace(seconds, 40))
    assert wait_s(paces.of("north", "backbones", "fit tails"), GENEROUS) == 980.0


def test_other_work_phases_and_sites_tell_nothing() -> None:
    paces = Paces()
    paces.learn("north", "backbones", "fit heads", Pace(3.0, 40))
    for key in (
        ("north", "backbones", "fit tails"),
        ("north", "fusion", "fit heads"),
        ("south", "backbones", "fit heads"),
    ):
        assert paces.of(*key) is None
        assert wait_s(paces.of(*key), GENEROUS) == GENEROUS.most_s


def test_a_resumed_run_knows_what_it_knew() -> None:
    paces = Paces()
    paces.learn("north", "fusion", "moments", Pace(3.5, 40))
    paces.learn("south", "fusion", "moments", Pace(30.25, 0))
    again = Paces.from_json(paces.to_json())
    assert again.to_json() == paces.to_json()
    assert again.of("south", "fusion", "moments") == Pace(30.25, 0)
    assert again.of("north", "fusion", "moments") == Pace(3.5, 40)


def test_each_part_that_is_evaluated_is_work_of_its_own() -> None:
    heat = {"booster": 1.0, "softmax": 1.0}
    assert work_name(EvaluationAsk(part="test", temperatures=heat)) == "evaluation test"
    assert work_name(EvaluationAsk(part="validation", temperatures=heat)) == (
        "evaluation validation"
    )
    asks = (CensusAsk(), MomentsAsk(), FitAsk(stage="heads"), CalibrationAsk())
    assert [work_name(ask) for ask in asks] == ["census", "moments", "fit heads", "calibration"]


def test_examples_are_those_that_a_reply_tells_of() -> None:
    census = CensusTold(
        examples={"train": {"a": 61, "b": 52}, "test": {"a": 14}}, withheld={}, fewest_examples=5,
        groups={}, grouped_by="patient", excluded={}, weights={}, software={}, numerics={},
    )  # fmt: skip
    assert examples_told(census) == 127
    assert examples_told(FIT_TOLD) == 7
    assert examples_told(BoosterTold(examples=12)) == 12
    assert examples_told(None) == 0
