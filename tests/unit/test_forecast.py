"""Forecasts: the gate says which exchanges a study has, safetensors how large a block is."""

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from client.egress.gate import check_request
from client.site_config import Limits
from common.asks import Part
from common.errors import RequestRefused
from common.forecast import (
    amount_of_work,
    cache_bytes,
    paced_as,
    shared_out,
)
from common.planned import planned_exchanges
from common.shapes import ModelShapes, Shape, block_bytes
from common.study.methods import Scaffold
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase
from common.study.schedule import needed_parts
from common.study.schema import Study
from common.wire import Request, Step
from tests.support.small import small_study

IMAGES: dict[Part, int] = {"train": 100, "validation": 20, "test": 30}


def study(**phases: dict[str, Any]) -> Study:
    kinds = {"backbones": BackbonesPhase, "fusion": FusionPhase, "booster": BoosterPhase}
    return small_study(
        phases=tuple(
            kinds[phase.name](**phases[phase.name]) if phase.name in phases else phase
            for phase in small_study().phases
        )
    )


STUDIES = [
    study(),
    study(backbones={"head_rounds": 0, "tail_rounds": 3}, booster={"rounds": 1, "depth": 1}),
    study(booster={"mode": "bagging"}),
    study(booster={"mode": "collective"}),
    study(backbones={"head_rounds": 2, "tail_rounds": 0}, fusion={"rounds": 1}),
    study(backbones={"head_rounds": 0, "tail_rounds": 0}),
    study(fusion={"method": Scaffold(), "optimizer": "sgd", "weights": "equal"}),
    study(booster={"mode": "none"}),
]
LIMITS = Limits(most_rounds=999, booster=("histogram", "bagging", "collective"))
SHAPES = ModelShapes(
    {
        "constants": {"a/norm": Shape("float32", (3,))},
        "tails": {"a/conv": Shape("float32", (2, 3, 1, 1))},
        "heads": {"a/weight": Shape("float32", (4, 10)), "a/bias": Shape("float32", (4,))},
        "fusion": {"h1.weight": Shape("float32", (8, 10))},
    },
    {"a": (5, 4, 4)},
)


@pytest.mark.parametrize("study", STUDIES)
def test_every_exchange_is_one_that_a_site_admits_and_none_is_left_out(study: Study) -> None:
    planned = list(planned_exchanges(study))
    for answered, one in enumerate(planned):
        step = Step(
            study=study.digest, run="r", phase=one.phase, round=one.round, exchange=one.exchange,
            site="north",
        )  # fmt: skip
        parts = dict.fromkeys(needed_parts(study, one.ask), "0" * 64)
        check_request(Request(step, one.ask, parts), study, LIMITS, answered)
        beyond = step.model_copy(update={"round": step.round + 1000})
        with pytest.raises(RequestRefused, match="does not exist"):
            check_request(Request(beyond, one.ask, parts), study, LIMITS, 0)
    backbones, booster = study.phase(BackbonesPhase), study.phase(BoosterPhase)
    rounds = backbones.head_rounds + backbones.tail_rounds + study.phase(FusionPhase).rounds
    boosting = {
        "histogram": booster.rounds * booster.depth, "bagging": booster.rounds, "collective": 3,
        "none": 0,
    }  # fmt: skip
    assert len(planned) == 1 + 2 + rounds + boosting[booster.mode] + 1 + 2


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"a": Shape("float16", (3,))},
        {"part/name.weight": Shape("float32", (7, 5)), "b": Shape("int64", (1, 2, 3))},
        {f"layer{i}": Shape("int32", (i,)) for i in range(40)},
    ],
)
def test_a_block_is_as_large_as_safetensors_makes_it(shapes: dict[str, Shape]) -> None:
    arrays = {name: np.zeros(shape.shape, shape.dtype) for name, shape in shapes.items()}
    assert block_bytes(shapes) == len(save(arrays))


def test_the_cache_holds_activations_and_features_of_the_first_and_last_tails() -> None:
    # views 2: 250 activations of 5 x 4 x 4 float16; features of 10 float32, of the final tails for
    # the same 250, of the initial ones for the 220 that are not test.
    expected = 250 * 80 * 2 + 250 * 10 * 4 + 220 * 10 * 4
    assert cache_bytes(study(), SHAPES, IMAGES) == expected
    assert cache_bytes(study(), ModelShapes(SHAPES.parts), IMAGES) is None


def test_images_are_shared_out_as_the_study_splits_them() -> None:
    assert shared_out(1000, study()) == {"train": 650, "validation": 150, "test": 200}
    assert sum(shared_out(7, study()).values()) == 7


def test_work_is_counted_in_what_it_grows_with() -> None:
    amounts = {
        kind: amount_of_work(planned, study(), IMAGES) for planned, kind in paced_as(study())
    }
    assert amounts == {
        "census": 150,
        "moments backbones": 200, "fit heads": 200, "fit heads again": 200,
        "fit tails": 100, "fit tails again": 100,
        "moments fusion": 100, "fit fusion": 200, "fit fusion again": 200,
        "booster": 200, "booster again": 200,
        "calibration": 20, "evaluation test": 30, "evaluation validation": 20,
    }  # fmt: skip
    nothing = dict.fromkeys(IMAGES, 0)
    assert all(amount_of_work(one, study(), nothing) == 1 for one, _ in paced_as(study()))
