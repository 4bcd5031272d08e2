from typing import Any

import pytest

from client.egress.gate import check_request, check_size
from client.site_config import Limits
from common.asks import (
    COLLECTIVE_STAGES,
    NEEDED_PARTS,
    Ask,
    BoosterAsk,
    CalibrationAsk,
    CensusAsk,
    ClassifierName,
    CollectiveAsk,
    EvaluationAsk,
    FitAsk,
    MomentsAsk,
    TreesAsk,
    Work,
)
from common.boosting.turns import turns
from common.errors import RequestRefused
from common.study.phases import PHASE_ORDER, BoosterPhase
from common.study.schema import Study
from common.wire import Request
from tests.support.exchanges import STUDY, census_request, request

EVALUATION: dict[ClassifierName, float] = {"booster": 1.0, "softmax": 1.0}
ASKS: dict[Work, Ask] = {
    "census": CensusAsk(),
    "moments": MomentsAsk(),
    "fit heads": FitAsk(stage="heads"),
    "fit tails": FitAsk(stage="tails"),
    "fit fusion": FitAsk(stage="fusion"),
    "booster": BoosterAsk(level=0),
    "calibration": CalibrationAsk(),
    "evaluation": EvaluationAsk(temperatures=EVALUATION),
}
# The default study by hand: 2 head rounds, 4 tail rounds, 6 of fusion, 6 of the booster.
PLACES: dict[Work, set[tuple[str, int]]] = {
    "census": {("census", 1)},
    "moments": {("backbones", 0), ("fusion", 0)},
    "fit heads": {("backbones", n) for n in (1, 2)},
    "fit tails": {("backbones", n) for n in (3, 4, 5, 6)},
    "fit fusion": {("fusion", n) for n in range(1, 7)},
    "booster": {("booster", n) for n in range(1, 7)},
    "calibration": {("calibration", 1)},
    "evaluation": {("evaluation", 1)},
}


def asking(work: Work, ask: Ask | None = None, **step: Any) -> Request:
    return request(ask or ASKS[work], **step)


@pytest.mark.parametrize("work", ASKS)
@pytest.mark.parametrize("phase", PHASE_ORDER)
def test_each_work_is_let_in_in_its_own_rounds_only(work: Work, phase: str) -> None:
    for number in range(9):
        asked = asking(work, phase=phase, round=number)
        if (phase, number) in PLACES[work]:
            check_request(asked, STUDY, Limits(), answered=0)
        else:
            with pytest.raises(RequestRefused, match=r"of this study (asks for|does not exist)"):
                check_request(asked, STUDY, Limits(), answered=0)


def test_a_round_has_no_further_exchanges() -> None:
    """Else each would be one more answer, to other parts of the model."""
    for work, places in PLACES.items():
        if work in ("booster", "evaluation"):
            continue
        for phase, number in places:
            with pytest.raises(RequestRefused, match="exchange 1 of phase"):
                check_request(
                    asking(work, phase=phase, round=number, exchange=1), STUDY, Limits(), answered=0
                )


def test_evaluation_predicts_each_held_back_part_once_and_never_the_training_part() -> None:
    for exchange in range(4):
        for part in ("train", "validation", "test"):
            ask = EvaluationAsk(part=part, temperatures=EVALUATION)
            asked = asking("evaluation", ask, phase="evaluation", round=1, exchange=exchange)
            if (exchange, part) in ((0, "test"), (1, "validation")):
                check_request(asked, STUDY, Limits(), answered=0)
            else:
                with pytest.raises(RequestRefused, match="none of the study's"):
                    check_request(asked, STUDY, Limits(), answered=0)


def test_the_booster_may_start_a_round_again_once_for_every_site_that_is_lost() -> None:
    """Two sites, four levels: eight exchanges."""
    for level, exchange in ((0, 0), (3, 3), (0, 4), (3, 7)):
        asked = asking("booster", BoosterAsk(level=level), exchange=exchange)
        check_request(asked, STUDY, Limits(), answered=0)
    for level, exchange in ((4, 4), (0, 8)):
        with pytest.raises(RequestRefused, match="none of the study's"):
            check_request(
                asking("booster", BoosterAsk(level=level), exchange=exchange), STUDY, Limits(),
                answered=0,
            )  # fmt: skip


@pytest.mark.parametrize("change", [{"booster"}, {"diary"}])
def test_the_parts_named_are_those_that_the_work_needs(change: set[str]) -> None:
    named = set(NEEDED_PARTS["booster"]) ^ change
    with pytest.raises(RequestRefused, match="needs other parts"):
        check_request(request(parts=dict.fromkeys(named, "0" * 64)), STUDY, Limits(), answered=0)


def test_a_phase_that_the_hospital_leaves_out_is_refused() -> None:
    limits = Limits(phases=("census",))
    check_request(census_request(), STUDY, limits, answered=0)
    with pytest.raises(RequestRefused, match="takes no part in phase booster") as refusal:
        check_request(request(), STUDY, limits, answered=0)
    assert "limits.phases" in refusal.value.fix


def test_a_phase_that_no_study_has_is_refused() -> None:
    with pytest.raises(RequestRefused, match="phase mining"):
        check_request(request(phase="mining"), STUDY, Limits(), answered=0)


def test_the_last_allowed_answer_is_given_and_no_more() -> None:
    limits = Limits(most_rounds=3)
    check_request(asking("booster"), STUDY, limits, answered=2)
    with pytest.raises(RequestRefused, match="had 3 answers, and the site allows 3"):
        check_request(asking("booster"), STUDY, limits, answered=3)


def test_a_reply_may_be_as_large_as_the_limit() -> None:
    check_size(2_000_000, Limits(largest_payload_mb=2.0))
    with pytest.raises(RequestRefused, match=r"holds 2\.0 MB.*at most 2 MB"):
        check_size(2_000_001, Limits(largest_payload_mb=2.0))


def boosting_by(mode: Any) -> Study:
    phases = tuple(
        BoosterPhase(mode=mode, rounds=3) if phase.name == "booster" else phase
        for phase in STUDY.phases
    )
    return STUDY.model_copy(update={"phases": phases})


def test_a_mode_of_the_booster_may_be_left_out_and_the_collective_is() -> None:
    bagging, collective = boosting_by("bagging"), boosting_by("collective")
    join = request(CollectiveAsk(stage="join"))
    check_request(request(TreesAsk()), bagging, Limits(), answered=0)
    check_request(join, collective, Limits(booster=("collective",)), answered=0)
    for asked, study, limits in (
        (request(TreesAsk()), bagging, Limits(booster=("histogram",))),
        (join, collective, Limits()),
    ):
        with pytest.raises(RequestRefused, match="takes no part in a booster by") as refusal:
            check_request(asked, study, limits, answered=0)
        assert "limits.booster" in refusal.value.fix


def test_each_mode_is_asked_for_its_own_work() -> None:
    asks: dict[str, Ask] = {
        "histogram": BoosterAsk(level=0), "bagging": TreesAsk(),
        "collective": CollectiveAsk(stage="join"),
    }  # fmt: skip
    limits = Limits(booster=("histogram", "bagging", "cyclic", "collective"))
    for mode in asks:
        for other, ask in asks.items():
            if mode == other:
                check_request(request(ask), boosting_by(mode), limits, answered=0)
                continue
            with pytest.raises(RequestRefused, match="of this study asks for"):
                check_request(request(ask), boosting_by(mode), limits, answered=0)


def test_by_turns_a_site_answers_once_in_a_round_at_its_own_place() -> None:
    study = boosting_by("cyclic")
    for number in (1, 2, 3):
        place = turns(study.seed, study.sites, number).index("north")
        check_request(
            request(TreesAsk(), round=number, exchange=place), study, Limits(), answered=0
        )
        for exchange in {0, 1, 2, 3} - {place}:
            with pytest.raises(RequestRefused, match="none of the study's"):
                check_request(
                    request(TreesAsk(), round=number, exchange=exchange), study, Limits(),
                    answered=0,
                )  # fmt: skip


def test_a_collective_has_its_steps_in_order_and_so_many_attempts() -> None:
    study, limits = boosting_by("collective"), Limits(booster=("collective",))
    for exchange in range(4 * 3 + 3):
        for number, stage in enumerate(COLLECTIVE_STAGES):
            asked = request(CollectiveAsk(stage=stage), exchange=exchange)
            if exchange < 4 * 3 and exchange % 3 == number:
                check_request(asked, study, limits, answered=0)
                continue
            with pytest.raises(RequestRefused, match="none of the study's"):
                check_request(asked, study, limits, answered=0)
