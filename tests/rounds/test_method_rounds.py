"""Studies with other methods than FedAvg: through every phase, and stopped and gone on with."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from client.own import OwnFiles
from client.predict import ReleasedModel, predict_files
from client.site_config import OWN_FOLDER
from common.errors import ConfigError
from common.forecast import traffic
from common.metrics import RunMetrics
from common.release import read_release
from common.shapes import shapes_of
from common.study.methods import FedAdam, Scaffold
from common.study.phases import Phase
from common.wire import Step
from server.checkpoints import Checkpoints, State
from tests.support.small_course import Course, Gone
from tests.support.small_scenario import SITES

pytestmark = pytest.mark.slow


def laid(course: Course, changes: dict[str, dict[str, Any]], network: dict[str, Any]) -> None:
    """Change settings of the course's study."""

    def changed(phase: Phase) -> Phase:
        return type(phase).model_validate({**phase.model_dump(), **changes.get(phase.name, {})})

    study = course.study
    course.study = type(study).model_validate(
        {
            **study.model_dump(),
            "phases": tuple(changed(phase) for phase in study.phases),
            "network": {**study.network.model_dump(), **network},
        }
    )


def stopped_once(phase: str, number: int) -> Gone:
    """Stop the coordinator, with Ctrl-C, when a site is asked for this round."""
    stopped = False

    def gone(step: Step) -> bool:
        nonlocal stopped
        if (step.phase, step.round) == (phase, number) and not stopped:
            stopped = True
            raise KeyboardInterrupt
        return False

    return gone


def run_twice(course: Course) -> tuple[RunMetrics, RunMetrics]:
    """Run the study undisturbed; and stopped twice, with sites that are started anew."""
    whole = course.run("whole", course.sites("whole"))
    for phase, number, site in (("backbones", 2, "south"), ("fusion", 2, "north")):
        gone = {name: stopped_once(phase, number) for name in SITES if name >= site}
        with pytest.raises(KeyboardInterrupt):
            course.run("stopped", course.sites("stopped"), gone=gone)
    return whole, course.run("stopped", course.sites("stopped"))


def last_state(course: Course, name: str) -> State:
    folder = Checkpoints(course.home / name / "checkpoints" / "federated")
    state = folder.latest(course.study.digest, note=pytest.fail)
    assert state is not None
    return state


def own_files(course: Course, name: str, site: str) -> tuple[OwnFiles, Step]:
    files = OwnFiles(course.home / name / "hospitals" / site / OWN_FOLDER)
    at = Step(study=course.study.digest, run=f"{name}.federated", phase="evaluation", round=1,
              exchange=0, site=site)  # fmt: skip
    return files, at


def test_scaffold_keeps_its_shared_variate_the_mean_of_the_sites_own(tmp_path: Path) -> None:
    course = Course(tmp_path)
    steered = {"method": Scaffold(), "optimizer": "sgd", "weights": "equal", "learning_rate": 0.01}
    laid(
        course,
        {"backbones": {**steered, "head_learning_rate": 0.01},
         "fusion": {**steered, "participants": 2, "rounds": 3},
         "booster": {"rounds": 1}},
        {},
    )  # fmt: skip
    whole, stopped = run_twice(course)
    assert whole.digests == stopped.digests
    assert course.events("whole", "missing", "refused", "rejected") == []

    passing = traffic(course.study, shapes_of(course.initial))
    for event, one in zip(course.events("whole", "exchange"), passing, strict=True):
        if event["phase"] == "backbones":
            for site in SITES:
                assert one.up == pytest.approx(event["bytes_up"][site], rel=0.01)
                assert one.down == pytest.approx(event["bytes_down"][site], rel=0.05)

    drawn = [held.sites for held in whole.participation["fusion"] if held.round]
    assert all(sorted(marks.values()) == ["answered", "answered", "not drawn"] for marks in drawn)
    assert (whole.complete, whole.lost) == (True, {})

    for name in ("whole", "stopped"):
        state = last_state(course, name)
        counted = state.facts["method"]["counted"]
        shared = state.parts["control"].arrays
        total = {key: np.zeros(array.shape) for key, array in shared.items()}
        for site, number in counted.items():
            files, at = own_files(course, name, site)
            for key, array in files.load(at, "variate-fusion", number).items():
                total[key] += array / len(SITES)
        for key, array in shared.items():
            np.testing.assert_allclose(array, total[key], atol=1e-6)
            assert np.abs(array).max() > 0


def test_parts_of_a_sites_own_never_leave_it_and_survive(tmp_path: Path) -> None:
    course = Course(tmp_path)
    laid(
        course,
        {"backbones": {"method": FedAdam(server_rate=1e-3)},
         "fusion": {"method": FedAdam(server_rate=1e-2), "head": "local"},
         "booster": {"mode": "none"}},
        {"batch_norm": "local"},
    )  # fmt: skip
    whole, stopped = run_twice(course)
    assert whole.digests == stopped.digests
    assert whole.arms.federated == stopped.arms.federated
    assert whole.arms.federated.macro_f1 == whole.arms.federated.softmax.macro_f1

    initial, end = course.initial.parts, last_state(course, "whole").parts
    for name in ("head.weight", "head.bias"):
        np.testing.assert_array_equal(end["fusion"].arrays[name], initial["fusion"][name])
    assert not np.array_equal(end["fusion"].arrays["h1.weight"], initial["fusion"]["h1.weight"])
    for name, array in initial["constants"].items():
        np.testing.assert_array_equal(end["constants"].arrays[name], array)

    heads, norms = [], []
    for site in SITES:
        files, at = own_files(course, "whole", site)
        heads.append(files.load(at, "head", 2)["head.weight"])
        norms.append(files.load(at, "norms", 2))
    assert not np.array_equal(heads[0], heads[1])
    assert norms[0].keys() == initial["constants"].keys()
    assert any(not np.array_equal(norms[0][name], norms[1][name]) for name in norms[0])

    with pytest.raises(ConfigError, match="a part of a model"):
        ReleasedModel(read_release(course.home / "whole" / "release.zip"))


def test_smoothed_mixed_and_averaged_rounds_end_in_a_model_that_sees_several_views(
    tmp_path: Path,
) -> None:
    course = Course(tmp_path)
    smooth = {"label_smoothing": 0.1, "mixing_alpha": 1.0}
    laid(
        course,
        {"backbones": {**smooth, "mixing": "cutmix", "tail_rounds": 2, "averaging": {"rounds": 2}},
         "fusion": {**smooth, "mixing": "mixup", "rounds": 3,
                    "averaging": {"rounds": 3, "decay": 0.5}},
         "evaluation": {"views": 3}},
        {},
    )  # fmt: skip
    whole, stopped = run_twice(course)
    assert whole.digests == stopped.digests
    assert course.events("whole", "missing", "refused", "rejected") == []

    classes = course.study.labels.classes
    with course.manifest.open(encoding="utf-8", newline="") as file:
        held_back = [row for row in csv.DictReader(file) if row["split"] == "test"]
    release = read_release(course.home / "whole" / "release.zip")
    paths = [course.images / row["path"] for row in held_back]
    predict_files(release, paths, tmp_path / "found.csv", lambda done, of: None)
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as file:
        found = [row["class"] for row in csv.DictReader(file)]
    counted = confusion_matrix([row["label"] for row in held_back], found, labels=classes)
    assert counted.tolist() == [list(row) for row in whole.arms.federated.confusion]
