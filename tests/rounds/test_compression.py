"""Compressed updates through whole runs: bytes, resumes, and sites that forget or miss a round."""

import shutil
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
from tests.support.small_course import Course, at
from tests.support.small_scenario import SITES

pytestmark = pytest.mark.slow
BOTH = Compression(up="int8", down="int8")
SPARSE = Compression(up="topk", share=0.05)
TRAINING = {("backbones", 1), ("backbones", 2), ("fusion", 1), ("fusion", 2)}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return Course(tmp_path_factory.mktemp("compression"))


def coded(course: Course, compression: Compression) -> Study:
    return course.study.model_copy(update={"compression": compression})


@pytest.fixture(scope="module")
def both(course: Course) -> RunMetrics:
    study = coded(course, BOTH)
    return course.run("both", course.sites("both", study), study=study)


@pytest.fixture(scope="module")
def sparse(course: Course) -> RunMetrics:
    study = coded(course, SPARSE)
    return course.run("sparse", course.sites("sparse", study), study=study)


def training(course: Course, name: str) -> list[dict[str, Any]]:
    return [e for e in course.events(name, "exchange") if (e["phase"], e["round"]) in TRAINING]


def outbox(course: Course, name: str, site: str = "north") -> Path:
    return course.home / name / "hospitals" / site / "outbox"


@pytest.mark.parametrize(("name", "compression"), [("both", BOTH), ("sparse", SPARSE)])
def test_every_site_is_heard_and_the_bytes_are_those_of_the_forecast(
    course: Course, both: RunMetrics, sparse: RunMetrics, name: str, compression: Compression
) -> None:
    assert {"both": both, "sparse": sparse}[name].complete
    study = coded(course, compression)
    passing = traffic(study, model_shapes(study))
    events = course.events(name, "exchange")
    for event, one in zip(events, passing, strict=True):
        for site in SITES:
            # The run's name is shorter than a real one's, and census words differ.
            near = 60 if event["phase"] == "census" else 30
            assert one.down == pytest.approx(event["bytes_down"][site], rel=0, abs=30)
            assert one.up == pytest.approx(event["bytes_up"][site], rel=0, abs=near)


def test_updates_are_as_small_as_they_should_be(
    course: Course, both: RunMetrics, sparse: RunMetrics
) -> None:
    sizes = model_shapes(course.study)
    tails = sum(shape.nbytes for part in ("heads", "tails") for shape in sizes.parts[part].values())
    (whole,) = (e for e in training(course, "both") if (e["phase"], e["round"]) == ("backbones", 2))
    (few,) = (e for e in training(course, "sparse") if (e["phase"], e["round"]) == ("backbones", 2))
    for site in SITES:
        assert whole["bytes_up"][site] < tails / 4 * 1.15  # of float32: a byte of four, and scales
        assert few["bytes_up"][site] < tails * 0.05
    after = [e for e in course.events("both", "exchange") if e["phase"] == "fusion"]
    # The tails came down whole in the head rounds; the step that the tail round took is a quarter.
    assert max(after[0]["bytes_down"].values()) < tails / 4 * 1.15


def test_what_is_left_out_stays_at_the_site_and_ends_with_its_phase(
    course: Course, sparse: RunMetrics
) -> None:
    study = coded(course, SPARSE)
    name = "owing"
    sites = course.sites(name, study)
    absent = {site: lambda step: step.phase == "fusion" and step.round == 2 for site in SITES}
    with pytest.raises(RunStopped, match="quorum"):
        course.run(name, sites, study=study, gone=absent)
    left = {path.stem for path in outbox(course, name).rglob("*.owed")}
    assert left == {"fusion-1-0"}
    (path,) = outbox(course, name).rglob("*.owed")
    owed = load(path.read_bytes())
    assert {a.dtype for a in owed.values()} == {np.dtype(np.float32)}
    zeros = sum(int((a == 0).sum()) for a in owed.values())
    assert 0 < zeros < sum(a.size for a in owed.values())
    # Sites and coordinator begin anew: what is left out was kept, and the bits are the same.
    ended = course.run(name, course.sites(name, study), study=study)
    assert ended.digests == sparse.digests
    assert not list(outbox(course, name).rglob("*.owed"))


def test_a_coordinator_that_resumes_takes_the_same_steps(course: Course, both: RunMetrics) -> None:
    study = coded(course, BOTH)
    name = "resumed"
    absent = {site: at(("fusion", 2)) for site in SITES}
    with pytest.raises(RunStopped, match="quorum"):
        course.run(name, course.sites(name, study), study=study, gone=absent)
    ended = course.run(name, course.sites(name, study), study=study)
    assert ended.digests == both.digests


def test_a_site_that_starts_again_is_sent_the_whole_part(course: Course, both: RunMetrics) -> None:
    """It lost what it held, not what it owes: nothing shows in the model."""
    study = coded(course, BOTH)
    sites = course.sites("restarted", study)

    def restart(step: Any) -> bool:
        if step.phase == "fusion" and step.round == 2:
            sites[step.site].parts.held.clear()
        return False

    ended = course.run("restarted", sites, study=study, gone=dict.fromkeys(SITES, restart))
    assert ended.digests == both.digests
    (again,) = (
        e for e in training(course, "restarted") if (e["phase"], e["round"]) == ("fusion", 2)
    )
    (step,) = (e for e in training(course, "both") if (e["phase"], e["round"]) == ("fusion", 2))
    assert again["bytes_down"]["north"] > step["bytes_down"]["north"]


def test_a_missed_round_keeps_what_is_owed(course: Course) -> None:
    study = coded(course, SPARSE)
    sites = course.sites("missed", study)
    metrics = course.run(
        "missed", sites, study=study, gone={"west": at(("backbones", 2), ("fusion", 1))}
    )
    assert metrics.lost == {"west": 2}
    assert course.events("missed", "rejected", "refused") == []


def test_forgotten_debts_cost_what_they_held_and_no_round(course: Course) -> None:
    study = coded(course, SPARSE)
    sites = course.sites("forgotten", study)

    def forget(step: Any) -> bool:
        if step.phase == "fusion" and step.round == 2:
            assert sites[step.site].door.outbox.forget_replies() > 1
        return False

    metrics = course.run("forgotten", sites, study=study, gone={"north": forget})
    assert metrics.complete
    shutil.rmtree(course.home / "forgotten")
