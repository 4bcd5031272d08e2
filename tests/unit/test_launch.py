from pathlib import Path

import pytest
from pydantic import ValidationError

from client.launches import Launches
from common.asks import CensusAsk
from common.signing import Signed
from common.troubles import Unanswered
from common.wire import Request, Step
from server.deadlines import Patience
from server.launch import Launch

LAUNCH = Launch(run=Path("trial"), key=Path("signing.pem"), sites={})


def test_the_patience_is_what_the_launch_file_says() -> None:
    assert LAUNCH.patience == Patience(most_s=12 * 3600.0, factor=4.0, floor_s=300.0)
    changes = {"deadline_hours": 0.5, "deadline_factor": 2.0, "deadline_floor_s": 10.0}
    assert LAUNCH.model_copy(update=changes).patience == Patience(1800.0, 2.0, 10.0)


@pytest.mark.parametrize(
    "change", [{"deadline_hours": 0}, {"deadline_factor": 0.5}, {"deadline_floor_s": -1}]
)
def test_a_wait_shorter_than_what_was_seen_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Launch(run=Path("trial"), key=Path("signing.pem"), sites={}, **change)


def signed(launch: int, rehearsal: bool) -> Signed:
    step = Step(
        study="a" * 64, run="trial", phase="census", round=1, exchange=0, site="north",
        rehearsal=rehearsal,
    )  # fmt: skip
    return Signed(launch, Request(step, CensusAsk()), b"")


def test_a_rehearsal_makes_no_launch_of_the_run_of_its_name_outdated(tmp_path: Path) -> None:
    launches = Launches(tmp_path / "launches")
    launches.admit(signed(9, rehearsal=True))
    launches.admit(signed(3, rehearsal=False))
    with pytest.raises(Unanswered):
        launches.admit(signed(8, rehearsal=True))


def test_a_step_says_of_which_kind_it_is() -> None:
    assert signed(1, rehearsal=False).request.step.name == "census, round 1 of run trial"
    assert signed(1, rehearsal=True).request.step.name == "census, round 1 of rehearsal trial"
    assert signed(1, rehearsal=False).request.digest != signed(1, rehearsal=True).request.digest
