import pytest

from client.egress.gate import check_request, check_size
from client.site_config import Limits
from common.asks import (
    Ask,
    BoosterAsk,
    CalibrationAsk,
    CensusAsk,
    EvaluationAsk,
    FitAsk,
    MomentsAsk,
)
from common.errors import RequestRefused
from common.study.phases import PHASE_ORDER
from tests.support.exchanges import STUDY, census_request, fit_request, request

ASKS: dict[str, Ask] = {
    "census": CensusAsk(),
    "moments": MomentsAsk(),
    "heads": FitAsk(stage="heads"),
    "tails": FitAsk(stage="tails"),
    "fusion": FitAsk(stage="fusion"),
    "booster": BoosterAsk(level=0),
    "calibration": CalibrationAsk(),
    "evaluation": EvaluationAsk(temperatures={"booster": 1.0, "softmax": 1.0}),
}
PLACES = {
    "census": {"census"},
    "moments": {"backbones", "fusion"},
    "heads": {"backbones"},
    "tails": {"backbones"},
    "fusion": {"fusion"},
    "booster": {"booster"},
    "calibration": {"calibration"},
    "evaluation": {"evaluation"},
}


@pytest.mark.parametrize("work", ASKS)
@pytest.mark.parametrize("phase", PHASE_ORDER)
def test_each_work_is_let_in_under_its_own_phase_only(work: str, phase: str) -> None:
    asked = request(ASKS[work], phase=phase)
    if phase in PLACES[work]:
        check_request(asked, STUDY, Limits(), answered=0)
    else:
        with pytest.raises(RequestRefused, match=f"phase {phase} does not include"):
            check_request(asked, STUDY, Limits(), answered=0)


def test_a_phase_that_the_hospital_leaves_out_is_refused() -> None:
    limits = Limits(phases=("census",))
    check_request(census_request(), STUDY, limits, answered=0)
    with pytest.raises(RequestRefused, match="takes no part in phase booster") as refusal:
        check_request(request(), STUDY, limits, answered=0)
    assert "limits.phases" in refusal.value.fix


def test_a_phase_that_no_study_has_is_refused() -> None:
    with pytest.raises(RequestRefused, match="phase mining"):
        check_request(request(phase="mining"), STUDY, Limits(), answered=0)


@pytest.mark.parametrize(
    ("stage", "phase", "last"), [("tails", "backbones", 7), ("fusion", "fusion", 6)]
)
def test_no_round_beyond_the_approved_study_is_worked_on(stage: str, phase: str, last: int) -> None:
    check_request(fit_request(stage, phase=phase, round=last), STUDY, Limits(), answered=0)
    with pytest.raises(RequestRefused, match=f"beyond the study's last, {last}"):
        check_request(fit_request(stage, phase=phase, round=last + 1), STUDY, Limits(), answered=0)


def test_the_census_is_taken_once() -> None:
    check_request(census_request(round=1), STUDY, Limits(), answered=0)
    with pytest.raises(RequestRefused, match="beyond"):
        check_request(census_request(round=2), STUDY, Limits(), answered=0)


def test_the_last_allowed_answer_is_given_and_no_more() -> None:
    limits = Limits(most_rounds=3)
    check_request(request(), STUDY, limits, answered=2)
    with pytest.raises(RequestRefused, match="had 3 answers, and the site allows 3"):
        check_request(request(), STUDY, limits, answered=3)


def test_a_reply_may_be_as_large_as_the_limit() -> None:
    check_size(2_000_000, Limits(largest_payload_mb=2.0))
    with pytest.raises(RequestRefused, match=r"holds 2\.0 MB.*at most 2 MB"):
        check_size(2_000_001, Limits(largest_payload_mb=2.0))
