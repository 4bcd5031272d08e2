"""Compressed updates through whole runs: their bytes, and what may happen on the way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from common.errors import RunStopped
from common.forecast import traffic
from common.metrics import RunMetrics
from common.model.initial import model_shapes
from common.study.compression import Compression
from common.study.schema import Study
from common.wire import Step
from tests.support.small_course import Course, at
from tests.support.small_scenario import SITES

pytestmark = pytest.mark.slow
DENSE = Compression(up="int8")
SPARSE = Compression(up="topk", share=0.05, down="int8")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return Course(tmp_path_factory.mktemp("compression"))


def coded(course: Course, compression: Compression) -> Study:
    return course.study.model_copy(update={"compression": compression})


def run(course: Course, name: str, compression: Compression) -> RunMetrics:
    study = coded(course, compression)
    return course.run(name, course.sites(name, study), study=study)


@pytest.fixture(scope="module")
def dense(course: Course) -> RunMetrics:
    return run(course, "dense", DENSE)


@pytest.fixture(scope="module")
def sparse(course: Course) -> RunMetrics:
    return run(course, "sparse", SPARSE)


def exchange(course: Course, name: str, phase: str, number: int) -> dict[str, Any]:
    events = course.events(name, "exchange")
    return next(e for e in events if (e["phase"], e["round"]) == (phase, number))


def debts(course: Course, name: str) -> list[Path]:
    return sorted((course.home / name / "hospitals" / "north" / "outbox").rglob("*.owed"))


@pytest.mark.parametrize(("name", "compression"), [("dense", DENSE), ("sparse", SPARSE)])
def test_every_site_is_heard_and_the_bytes_are_those_of_the_forecast(
    course: Course, dense: RunMetrics, sparse: RunMetrics, name: str, compression: Compression
) -> None:
    assert {"dense": dense, "sparse": sparse}[name].complete
    study = coded(course, compression)
    passing = traffic(study, model_shapes(study))
    for event, one in zip(course.events(name, "exchange"), passing, strict=True):
        # Words and names have other lengths, and trees need not be full.
        near = 0.1 if event["phase"] == "census" else 0.01
        for site in SITES:
            assert one.down == pytest.approx(event["bytes_down"][site], rel=0.05, abs=30)
            assert one.up == pytest.approx(event["bytes_up"][site], rel=near, abs=30)


def test_updates_are_as_small_as_they_should_be(
    course: Course, dense: RunMetrics, sparse: RunMetrics
) -> None:
    shapes = model_shapes(course.study).parts
    trained = sum(shape.nbytes for part in ("heads", "tails") for shape in shapes[part].values())
    tails = sum(shape.nbytes for shape in shapes["tails"].values())
    for site in SITES:
        # Of four bytes one, and the scales; of a value in twenty, two and its place.
        assert exchange(course, "dense", "backbones", 2)["bytes_up"][site] < trained / 4 * 1.15
        assert exchange(course, "sparse", "backbones", 2)["bytes_up"][site] < trained * 0.05
        # The step that the tails took; where it is not coded, the tails.
        assert exchange(course, "sparse", "fusion", 0)["bytes_down"][site] < tails / 4 * 1.15
        assert exchange(course, "dense", "fusion", 0)["bytes_down"][site] > tails


def test_restarts_of_all_change_no_bit(course: Course, sparse: RunMetrics) -> None:
    """Sites and coordinator lose what they held in memory, and keep what they owe."""
    study, name = coded(course, SPARSE), "restarted"
    sites = course.sites(name, study)

    def restart(step: Step) -> bool:
        if (step.phase, step.round) == ("backbones", 2):
            sites[step.site].parts.held.clear()
        return (step.phase, step.round) == ("fusion", 2)

    with pytest.raises(RunStopped, match="quorum"):
        course.run(
            name, sites, study=study,
            gone={"north": restart, "south": at(("fusion", 2)), "west": at(("fusion", 2))},
        )  # fmt: skip
    down = exchange(course, name, "backbones", 2)["bytes_down"]
    assert down["north"] > down["south"]  # the step was of no use to it: it asked for the whole
    (owed,) = debts(course, name)
    assert owed.stem == "fusion-1-0"
    left = np.concatenate([array.ravel() for array in load(owed.read_bytes()).values()])
    assert left.dtype == np.float32
    # A value that is not among the largest waits; one that is, is sent but for its rounding.
    assert np.count_nonzero(left) > 0.5 * left.size

    ended = course.run(name, course.sites(name, study), study=study)
    assert ended.digests == sparse.digests
    assert debts(course, name) == []


def test_missed_rounds_and_forgotten_debts_cost_no_reply(course: Course) -> None:
    study, name = coded(course, SPARSE), "missed"
    sites = course.sites(name, study)

    def forget(step: Step) -> bool:
        if (step.phase, step.round) == ("fusion", 2):
            assert sites[step.site].door.outbox.forget_replies() == 2
        return False

    metrics = course.run(
        name, sites, study=study,
        gone={"north": forget, "west": at(("backbones", 2), ("fusion", 1))},
    )  # fmt: skip
    assert metrics.lost == {"west": 2}
    assert course.events(name, "rejected", "refused") == []
    down = exchange(course, name, "fusion", 2)["bytes_down"]
    assert down["west"] > down["south"]  # it does not hold what the step leads from
