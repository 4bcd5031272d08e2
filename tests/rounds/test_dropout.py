"""Sites that are lost in the course of a study: what is left of it, and that everyone is told."""

import json

import pytest

from common.errors import RunStopped
from common.figures import Mark
from common.metrics import RunMetrics
from common.wire import Step
from tests.support.small_course import Course, at, since
from tests.support.small_scenario import PHASES, SITES

pytestmark = pytest.mark.slow
ROUNDS = {
    "census": [1], "backbones": [0, 1, 2], "fusion": [0, 1, 2], "booster": [1, 2],
    "calibration": [1], "evaluation": [1],
}  # fmt: skip
LOST = {"backbones": 1, "fusion": 2, "booster": 1, "calibration": 1, "evaluation": 1}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return Course(tmp_path_factory.mktemp("dropout"))


def marks_of(metrics: RunMetrics, site: str) -> dict[str, dict[int, Mark]]:
    return {
        phase: {held.round: held.sites[site] for held in rounds}
        for phase, rounds in metrics.participation.items()
    }


@pytest.fixture(scope="module")
def lossy(course: Course) -> RunMetrics:
    return course.run("lossy", course.sites("lossy"), gone={"west": at(*LOST.items())})


@pytest.fixture(scope="module")
def whole(course: Course) -> RunMetrics:
    return course.run("whole", course.sites("whole"))


def test_a_site_that_is_lost_in_every_phase_takes_part_in_between(
    course: Course, lossy: RunMetrics
) -> None:
    marks = marks_of(lossy, "west")
    assert marks == {
        phase: {
            number: "missing" if LOST.get(phase) == number else "answered" for number in numbers
        }
        for phase, numbers in ROUNDS.items()
    }
    for site in ("north", "south"):
        assert {m for held in marks_of(lossy, site).values() for m in held.values()} == {"answered"}
    assert (lossy.complete, lossy.lost) == (False, {"west": 5})
    assert set(lossy.per_site) == {"north", "south"}
    missing = course.events("lossy", "missing")
    assert {(e["site"], e["phase"], e["round"]) for e in missing} == {
        ("west", *step) for step in LOST.items()
    }


def test_such_a_run_says_so_in_its_first_lines(course: Course, lossy: RunMetrics) -> None:
    words = "Of 11 rounds: 5 without west"
    assert lossy.losses == words
    assert course.card("lossy").splitlines()[2] == (
        f"**Incomplete: not every site took part in every round.** {words}."
    )
    page = course.report("lossy")
    assert "<title>Incomplete: small" in page
    assert page.index("Incomplete: not every site") < page.index("<h1>")
    assert '<p class="headline">Incomplete run. Federated macro F1' in page
    assert words in page
    written = json.loads((course.home / "lossy" / "metrics.json").read_bytes())
    assert list(written).index("complete") < list(written).index("arms")
    assert written["complete"] is False


def test_a_run_without_losses_looks_complete(course: Course, whole: RunMetrics) -> None:
    assert (whole.complete, whole.lost, whole.losses) == (True, {}, "")
    held = {phase: [one.round for one in rounds] for phase, rounds in whole.participation.items()}
    assert held == ROUNDS
    for text in (course.report("whole"), course.card("whole")):
        assert "Incomplete" not in text
    assert "Every site took part in every round." in course.report("whole")


@pytest.mark.parametrize("phase", ["census", "booster"])
def test_a_site_that_is_gone_for_good_costs_itself_only(course: Course, phase: str) -> None:
    name = f"gone-{phase}"
    metrics = course.run(name, course.sites(name), gone={"south": since(phase, PHASES)})
    answered = [
        name
        for name, rounds in marks_of(metrics, "south").items()
        if set(rounds.values()) == {"answered"}
    ]
    assert answered == list(PHASES[: PHASES.index(phase)])
    after = marks_of(metrics, "south")["evaluation"][1]
    assert after == ("left out" if phase == "census" else "missing")
    assert set(metrics.per_site) == {"north", "west"}
    assert not metrics.complete


def test_a_phase_that_ends_below_the_quorum_stops_and_goes_on_with_all(
    course: Course, whole: RunMetrics
) -> None:
    """In its last round a site is lost: that round is held again once the site is back."""
    study = course.study.model_copy(update={"quorum": len(SITES)})
    sites = course.sites("quorum", study)
    for phase, numbers in ROUNDS.items():
        with pytest.raises(RunStopped, match="2 of 3 sites answered usably, and the quorum is 3"):
            course.run("quorum", sites, gone={"north": at((phase, numbers[-1]))}, study=study)
    stopped = course.events("quorum", "stopped")
    assert [(e["phase"], e["round"]) for e in stopped] == [
        (phase, numbers[-1]) for phase, numbers in ROUNDS.items()
    ]
    assert not (course.home / "quorum" / "release").exists()
    metrics = course.run("quorum", sites, study=study)
    assert metrics.complete
    assert metrics.participation == whole.participation
    assert metrics.digests == whole.digests


@pytest.fixture(scope="module")
def apart(course: Course) -> RunMetrics:
    """Run with a site that takes no part in one round of the booster."""
    return course.run("apart", course.sites("apart"), gone={"west": at(("booster", 1))})


def exchanges_of(course: Course, name: str, round: int) -> list[tuple[list[str], list[str]]]:
    return [
        (event["invited"], event["accepted"])
        for event in course.events(name, "exchange")
        if (event["phase"], event["round"]) == ("booster", round)
    ]


def test_a_site_that_is_lost_before_a_booster_round_costs_no_exchange(
    course: Course, apart: RunMetrics
) -> None:
    """No row of it is in a tree yet. Lost later, it has the round begun again."""
    both = ["north", "south"]
    assert exchanges_of(course, "apart", 1) == [(list(SITES), both), (both, both)]

    def is_lost(step: Step) -> bool:
        return (step.phase, step.round, step.exchange) == ("booster", 1, 1)

    later = course.run("later", course.sites("later"), gone={"west": is_lost})
    assert exchanges_of(course, "later", 1) == [
        (list(SITES), list(SITES)), (list(SITES), both), (both, both), (both, both),
    ]  # fmt: skip
    assert later.digests == apart.digests


def test_a_round_that_went_on_without_a_site_is_resumed_without_it(
    course: Course, apart: RunMetrics
) -> None:
    """It would else be asked another level's sums than those that the trees were grown from."""
    sites = course.sites("resumed")

    def is_lost(step: Step) -> bool:
        return (step.phase, step.round, step.exchange) == ("booster", 1, 1)

    gone = {"west": at(("booster", 1)), "north": is_lost}
    with pytest.raises(RunStopped, match="the quorum is 2"):
        course.run("resumed", sites, gone=gone)
    assert course.run("resumed", sites).digests == apart.digests
    assert not course.events("resumed", "refused")
