"""What keeps a run from being launched is said before anything is sent."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError, CorruptFile, LeukofedError
from common.initial_model import InitialModel, write_initial
from common.proposal import proposal
from common.signing import new_key
from common.yaml_file import dump_yaml
from server.control import LinkError
from server.launch import load_launch
from server.operations import alone, check_site_presence, named, resumable, stop
from server.readiness import check_admitted, check_alone, check_disk, check_quorum, proposed
from server.run_folder import RunFolder
from server.run_setup import prepare_run, renew_keys
from server.sites import admitted_sites
from server.standing import standing
from tests.support.keys import node_public_key
from tests.support.launched import (
    LaunchedRun,
    admitted,
    site_state,
    tiny_federation,
    tiny_study,
)


def test_a_proposed_study_is_found(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    folder, study = proposed(federation, "trial")
    assert folder == federation.studies / "trial"
    assert study == tiny_study()
    check_admitted(study, admitted_sites(federation))


@pytest.mark.parametrize("name", ["other", "..", "", "../studies/trial"])
def test_another_name_lists_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="those that were: trial"):
        proposed(tiny_federation(tmp_path), name)


def test_an_incomplete_study_is_refused(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    (federation.studies / "trial" / "proposal.yaml").unlink()
    (federation.studies / "trial" / "fronts.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"lacks fronts\.safetensors, proposal\.yaml"):
        proposed(federation, "trial")


def test_a_study_that_was_changed_after_its_signature_is_refused(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    changed = dump_yaml(tiny_study(seed=2))
    (federation.studies / "trial" / "study.yaml").write_text(changed)
    with pytest.raises(ConfigError, match="changed after it was signed"):
        proposed(federation, "trial")


def test_a_study_that_someone_else_signed_is_refused(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    text = proposal(tiny_study(), new_key())
    (federation.studies / "trial" / "proposal.yaml").write_text(text)
    with pytest.raises(ConfigError, match="does not carry this coordinator's signature"):
        proposed(federation, "trial")


def test_a_study_without_its_initial_model_is_refused(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path / "a", initial_model=None)
    with pytest.raises(ConfigError, match="does not pin an initial model"):
        proposed(federation, "trial")
    federation = tiny_federation(tmp_path / "b")
    other = InitialModel({"fusion": {"h1.weight": np.zeros(3, np.float32)}}, {})
    write_initial(federation.studies / "trial" / "initial.safetensors", other)
    with pytest.raises(CorruptFile, match="the initial model has digest"):
        proposed(federation, "trial")


def test_sites_that_are_not_admitted_are_named() -> None:
    with pytest.raises(ConfigError, match="sites south are not admitted"):
        check_admitted(tiny_study(), ["north", "west"])


def test_a_quorum_must_be_connected_and_who_is_missing_is_named() -> None:
    study = tiny_study()
    nodes = {"north": site_state("north"), "south": site_state("south", "offline")}
    assert check_quorum(study, nodes) == ["south"]
    assert check_quorum(study, {"north": nodes["north"]}) == ["south"]
    nodes["north"] = site_state("north", "never seen")
    with pytest.raises(ConfigError, match=r"0 of 2 sites are connected.*missing: north, south"):
        check_quorum(study, nodes)


def test_a_silent_superlink_and_a_run_at_work_keep_a_run_from_beginning(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    with pytest.raises(LinkError, match="the SuperLink does not answer"):
        check_site_presence(federation, tiny_study())
    run = LaunchedRun(tmp_path / "runs" / "trial-1")
    with RunFolder(run.path, run.path.name).locked():
        with pytest.raises(ConfigError, match="trial-1 is running, and a site works at one"):
            check_site_presence(federation, tiny_study())
        with pytest.raises(ConfigError, match="trial-1 is running"):
            check_alone([standing(run.path)])
    check_alone([standing(run.path)])


def test_of_two_launches_at_once_the_second_is_refused(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    run = LaunchedRun(tmp_path / "runs" / "trial-1")

    def launch() -> None:
        with alone(federation):
            pass

    with ThreadPoolExecutor(1) as other, RunFolder(run.path, run.path.name).locked():
        with ExitStack() as first:
            (run.path / "lock").rename(run.path / "kept")  # it has not begun yet
            first.enter_context(alone(federation))
            second = other.submit(launch)
            time.sleep(0.1)
            assert not second.done()
            (run.path / "kept").rename(run.path / "lock")
        with pytest.raises(ConfigError, match="trial-1 is running, and a site works at one"):
            second.result()


def test_a_full_disk_is_told_with_figures(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    folder = federation.studies / "trial"
    check_disk(folder, tmp_path)
    with (folder / "initial.safetensors").open("r+b") as file:
        file.truncate(2**42)  # a hole: it takes no room
    with pytest.raises(LeukofedError, match=r"may take \d+\.\d GB, and \d+\.\d GB are free"):
        check_disk(folder, tmp_path)


def test_a_new_run_has_a_folder_that_can_be_launched(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    folder, study = proposed(federation, "trial")
    sites = admitted("north", "south", "west")
    path = prepare_run(federation, folder, study, sites, deadline_hours=2.5)
    assert path.name == "trial-1"
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "launch.yaml").stat().st_mode & 0o777 == 0o600
    launch = load_launch(path / "launch.yaml")
    assert launch.run == path
    assert launch.key.read_bytes() == federation.signing_key.read_bytes()
    assert set(launch.node_keys) == {"north", "south"}
    assert launch.deadline_hours == 2.5
    assert (standing(path).state, standing(path).why) == ("stopped", "it was never submitted")


def test_runs_are_numbered_and_rehearsals_on_their_own(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    folder, study = proposed(federation, "trial")
    sites = admitted("north", "south")
    (federation.runs / "trial-7").mkdir(parents=True)
    names = [
        prepare_run(federation, folder, study, sites, rehearse=rehearse).name
        for rehearse in (False, True, False, True)
    ]
    assert names == ["trial-8", "trial-rehearsal-1", "trial-9", "trial-rehearsal-2"]
    assert load_launch(federation.runs / "trial-rehearsal-2" / "launch.yaml").rehearse
    assert not load_launch(federation.runs / "trial-9" / "launch.yaml").rehearse


def test_a_runs_own_name_is_checked(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    folder, study = proposed(federation, "trial")
    sites = admitted("north", "south")
    assert prepare_run(federation, folder, study, sites, run="first.try").name == "first.try"
    with pytest.raises(ConfigError, match=r"there is a run first\.try already"):
        prepare_run(federation, folder, study, sites, run="first.try")
    for name in ("a/b", "..", "", "x" * 121, "-a"):
        with pytest.raises(ConfigError, match="a run cannot be called"):
            prepare_run(federation, folder, study, sites, run=name)
    with pytest.raises(ConfigError, match="south are not admitted"):
        prepare_run(federation, folder, study, admitted("north"))


def test_a_site_admitted_anew_takes_part_under_its_new_key(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    folder, study = proposed(federation, "trial")
    path = prepare_run(federation, folder, study, admitted("north", "south"))
    assert renew_keys(path, admitted("north", "south")) == []
    anew = admitted("north", "other", "south")  # south has the third key now
    assert renew_keys(path, anew) == ["south"]
    assert renew_keys(path, {}) == []
    text = load_launch(path / "launch.yaml").sites["south"]
    assert text == node_public_key(3, "ssh").decode().strip()


def test_what_can_be_resumed_and_stopped(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    with pytest.raises(ConfigError, match="there is no unfinished run"):
        resumable(federation, None)
    with pytest.raises(ConfigError, match="there is no run 'trial-1'"):
        named(federation, "trial-1")
    first = LaunchedRun(tmp_path / "runs" / "trial-1")
    second = LaunchedRun(tmp_path / "runs" / "trial-2")
    first.stopped()
    assert resumable(federation, None).run == "trial-2"
    RunFolder(second.path, "trial-2").finish()
    assert resumable(federation, None).run == "trial-1"
    with pytest.raises(ConfigError, match="trial-2 has finished"):
        resumable(federation, "trial-2")
    with pytest.raises(ConfigError, match="trial-2 is not at work: it has finished"):
        stop(federation, named(federation, "trial-2"))
    with pytest.raises(ConfigError, match="trial-1 is stopped already: someone stopped it"):
        stop(federation, named(federation, "trial-1"))
