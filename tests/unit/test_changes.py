from common.study.changes import ABSENT, Change, changes
from common.study.data import Data
from common.study.imaging import Imaging, Rectangle
from common.study.phases import FusionPhase
from common.study.schema import Study
from tests.support.exchanges import STUDY


def changed(**settings: object) -> Study:
    return Study.model_validate({**STUDY.model_dump(mode="json"), **settings})


def test_nothing_differs_between_a_study_and_itself() -> None:
    assert changes(STUDY, changed()) == []


def test_every_setting_that_differs_is_named_with_both_values() -> None:
    phases = tuple(
        FusionPhase(rounds=9) if isinstance(phase, FusionPhase) else phase for phase in STUDY.phases
    )
    new = changed(
        quorum=1,
        sites=("north", "south", "west"),
        data=Data(group=()).model_dump(),
        phases=[phase.model_dump() for phase in phases],
    )
    assert changes(STUDY, new) == [
        Change("sites", "north, south", "north, south, west"),
        Change("quorum", "2", "1"),
        Change("data.group", "patient, slide, stain_cluster, field", "none"),
        Change("phases.fusion.rounds", "6", "9"),
    ]


def test_what_only_one_of_them_has_is_named_too() -> None:
    masked = Imaging(mask=(Rectangle(top=0.0, bottom=0.5, left=0.25, right=1.0),))
    new = changed(imaging=masked.model_dump())
    found = {change.setting: (change.old, change.new) for change in changes(STUDY, new)}
    assert found["imaging.mask[1].left"] == (ABSENT, "0.25")
    assert found["imaging.mask"] == ("none", ABSENT)
