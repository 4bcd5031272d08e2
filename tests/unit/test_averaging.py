"""The mean of a phase's last models, against the models written down and averaged."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.asks import Stage
from common.seeds import stream
from common.study.schema import Study
from server.averaging import averaged
from tests.support.small import small_study

ROUNDS = 5


def study_with(phase: str, changes: dict[str, Any]) -> Study:
    study = small_study()
    phases = [
        {**one.model_dump(), **changes} if one.name == phase else one.model_dump()
        for one in study.phases
    ]
    return Study.model_validate({**study.model_dump(), "phases": phases})


def fusion(averaging: dict[str, Any]) -> Study:
    return study_with("fusion", {"rounds": ROUNDS, "averaging": averaging})


def run(
    study: Study, stage: Stage, numbers: range
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Return the model that the rounds end with, and the models that they would have led to."""
    generator = stream(4, "averaging test")
    place = plain = np.array([1.0, -2.0, 0.5])
    models: list[NDArray[np.float64]] = []
    memory: dict[str, NDArray[np.float64]] = {}
    for number in numbers:
        change = {"w": generator.normal(size=3)}
        plain = plain + change["w"]
        models.append(plain)
        moved, memory = averaged(study, stage, number, change, memory)
        place = place + moved["w"]
        if number < numbers[-1]:
            np.testing.assert_allclose(place, plain)  # what sites train is not averaged
    assert memory == {}
    return place, models


@pytest.mark.parametrize(("rounds", "over"), [(1, 1), (2, 2), (3, 3), (5, 5), (9, 5)])
def test_the_phase_ends_with_the_plain_mean(rounds: int, over: int) -> None:
    found, models = run(fusion({"rounds": rounds}), "fusion", range(1, ROUNDS + 1))
    np.testing.assert_allclose(found, np.mean(models[-over:], axis=0))


def test_a_moving_mean_weighs_later_models_more() -> None:
    found, models = run(fusion({"rounds": 4, "decay": 0.7}), "fusion", range(1, ROUNDS + 1))
    mean = models[1]
    for model in models[2:]:
        mean = 0.7 * mean + 0.3 * model
    np.testing.assert_allclose(found, mean)


def test_of_the_backbones_only_tail_rounds_are_averaged() -> None:
    study = study_with(
        "backbones", {"head_rounds": 2, "tail_rounds": 3, "averaging": {"rounds": 9}}
    )
    found, models = run(study, "heads", range(1, 3))
    np.testing.assert_allclose(found, models[-1])
    found, models = run(study, "tails", range(3, 6))
    np.testing.assert_allclose(found, np.mean(models, axis=0))


def test_heads_are_averaged_where_there_are_no_tail_rounds() -> None:
    study = study_with(
        "backbones", {"head_rounds": 3, "tail_rounds": 0, "averaging": {"rounds": 2}}
    )
    found, models = run(study, "heads", range(1, 4))
    np.testing.assert_allclose(found, np.mean(models[-2:], axis=0))
