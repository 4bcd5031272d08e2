"""The booster's modes between a coordinator and its sites, on an untrained network."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from client.phases import handle
from client.site import Site
from common.boosting.trees import Forest, forest_from_arrays
from common.boosting.turns import turns
from common.errors import RunStopped
from common.log_head import split_head, with_head
from common.record import read_record
from common.study.phases import BoosterPhase
from common.study.schema import Study
from common.wire import decode_header, decode_reply, encode_reply
from server.checkpoints import Part
from server.conduct import Conduct
from server.course import first_state, open_conduct
from server.phases import booster
from server.progress import PlainProgress
from server.rounds import Rounds
from server.run_folder import RunFolder
from simulations.engines.inprocess import Fault, Handle, LoopbackGrid
from tests.support.small_course import Course

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    found = Course(tmp_path_factory.mktemp("course"))
    yield found
    found.cache.close()


def study_of(course: Course, **settings: Any) -> Study:
    phases = tuple(
        BoosterPhase(depth=2, parallel_trees=2, **settings) if phase.name == "booster" else phase
        for phase in course.study.phases
    )
    return course.study.model_copy(update={"phases": phases})


def conducted(
    course: Course, study: Study, sites: Mapping[str, Site], folder: Path,
    faults: Mapping[str, Fault] | None = None, instead: Mapping[str, Handle] | None = None,
) -> Conduct:  # fmt: skip
    """Work through the booster alone, as a coordinator that was started again would, too."""
    nodes = {n: partial(handle, site=site) for n, site in sites.items()} | dict(instead or {})
    grid = LoopbackGrid(nodes, faults)
    folder.mkdir(exist_ok=True)
    with PlainProgress(Console(file=io.StringIO(), width=200)) as watch:
        conduct = open_conduct(
            RunFolder(folder, "run"), study, "federated",
            partial(Rounds, grid, deadline_s=300.0, poll_s=0.01), watch,
            partial(first_state, course.initial),
        )  # fmt: skip
        width = conduct.parts["fusion"].arrays["h1.weight"].shape[1]
        conduct.parts["fusion-moments"] = Part.of(
            {"mean": np.zeros(width, np.float32), "scale": np.ones(width, np.float32)}
        )
        booster.run(conduct)
    return conduct


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_record(folder / "record.jsonl") if event["event"] == kind]


def forest_of(conduct: Conduct) -> Forest:
    return forest_from_arrays(conduct.parts["booster"].arrays, booster.rules_for(conduct))


def test_bagging_joins_the_sites_trees_and_does_without_one_that_lies(
    course: Course, tmp_path: Path
) -> None:
    study = study_of(course, mode="bagging", rounds=2)

    def enormous(data: bytes) -> bytes:
        head, body = split_head(data)
        reply = decode_reply(body)
        if reply.step.round == 1 or reply.status != "done":
            return data
        arrays = {**reply.arrays, "value": reply.arrays["value"] * np.float32(1e6)}
        return with_head(encode_reply(replace(reply, arrays=arrays)), head)

    conduct = conducted(course, study, course.sites("a", study), tmp_path, {"south": enormous})
    assert len(forest_of(conduct).trees) == (3 + 2) * 4 * 2
    assert [event["sites"] for event in events(tmp_path, "round")] == [
        ["north", "south", "west"], ["north", "west"],
    ]  # fmt: skip
    (rejected,) = events(tmp_path, "rejected")
    assert "a leaf is outside what" in rejected["problem"]


def test_turns_are_taken_in_their_order_and_another_site_stands_in(
    course: Course, tmp_path: Path
) -> None:
    study = study_of(course, mode="cyclic", rounds=3)
    first = [turns(study.seed, study.sites, number)[0] for number in (1, 2, 3)]
    assert sorted(first) == sorted(study.sites)
    sites = course.sites("c", study)
    # The second round's site leaves the mode out: it refuses, and the third's stands in.
    sites[first[1]] = course.sites("d", study, booster=("histogram",))[first[1]]
    conduct = conducted(course, study, sites, tmp_path)
    assert len(forest_of(conduct).trees) == 3 * 4 * 2
    (refused,) = events(tmp_path, "refused")
    assert "takes no part in a booster by cyclic" in refused["problem"]
    took = [event["sites"] for event in events(tmp_path, "round")]
    assert took == [[first[0]], [first[2]], [first[2]]]


def test_a_collective_is_of_sites_that_allow_it_and_goes_on_without_one_that_is_lost(
    course: Course, tmp_path: Path
) -> None:
    study = study_of(course, mode="collective", rounds=1, attempt_s=200.0)
    with pytest.raises(RunStopped):
        conducted(course, study, course.sites("f", study), tmp_path / "f")
    refused = events(tmp_path / "f", "refused")
    assert all("no part in a booster by collective" in event["problem"] for event in refused)
    assert len(refused) == 3
    sites = course.sites("g", study, booster=("collective",))

    def lost_after_joining(data: bytes) -> bytes:
        if decode_header(data).step.exchange > 0:
            raise ConnectionError("gone")
        return handle(data, sites["west"])

    instead = {"west": lost_after_joining}
    conduct = conducted(course, study, sites, tmp_path / "g", instead=instead)
    assert conduct.facts["collective-attempts"] == 2
    assert len(forest_of(conduct).trees) == 4 * 2
    assert sites["west"].bench(study).membership is not None  # it never heard how it ended
    for site in sites.values():
        site.close()
    assert sites["west"].bench(study).membership is None
