"""A run's folder says how the run stands, whatever ended the process that worked on it."""

from pathlib import Path

import pytest

from common.errors import RunStopped
from server.now import NowFile
from server.run_folder import RunFolder
from server.standing import Standing, ended_by_flower, runs, standing
from tests.support.launched import LaunchedRun


@pytest.fixture
def run(tmp_path: Path) -> LaunchedRun:
    return LaunchedRun(tmp_path / "runs" / "trial-1")


def judged(run: LaunchedRun) -> tuple[str, str]:
    found = standing(run.path)
    return found.state, found.why


def test_a_launch_that_has_not_begun_is_starting(run: LaunchedRun) -> None:
    run.submitted("1")
    found = standing(run.path)
    assert (found.state, found.flower_run, found.phase) == ("starting", "1", "")
    assert found.is_active
    assert found.launched == found.submitted
    assert {site.status for site in found.sites.values()} == {"waiting"}


def test_a_run_whose_process_holds_the_lock_is_running(run: LaunchedRun) -> None:
    run.submitted("1")
    with RunFolder(run.path, run.path.name).locked():
        run.launched("1")
        watch = NowFile(run.path, "1")
        watch.round("backbones", 1, 3)
        watch.site("backbones", 1, "north", "asked", 0.0)
        found = standing(run.path)
    assert (found.state, found.why, found.ended) == ("running", "", None)
    assert (found.phase, found.round, found.of) == ("backbones", 1, 3)
    assert {name: site.status for name, site in found.sites.items()} == {
        "north": "asked",
        "south": "waiting",
    }
    assert judged(run)[0] == "stopped"  # the lock went with the process


def test_a_process_that_died_without_a_word_is_not_running(run: LaunchedRun) -> None:
    run.submitted("1")
    run.launched("1")
    run.round("census", 1, 2.0)
    state, why = judged(run)
    assert state == "stopped"
    assert "without a word" in why
    assert not standing(run.path).by_hand


def test_the_record_or_the_process_itself_says_why_it_stopped(run: LaunchedRun) -> None:
    run.submitted("1")
    run.launched("1")
    run.write("stopped", phase="census", round=1, problem="1 of 2 sites answered")
    assert judged(run) == ("stopped", "1 of 2 sites answered")
    run.submitted("2")
    assert judged(run) == ("starting", "")
    with pytest.raises(RunStopped), NowFile(run.path, "2"):
        raise RunStopped("the disk is full", fix="make room")
    found = standing(run.path)
    assert (found.state, found.why, found.fix) == ("stopped", "the disk is full", "make room")


def test_a_run_stopped_by_hand_says_by_whom_until_it_is_resumed(run: LaunchedRun) -> None:
    run.submitted("1")
    run.launched("1")
    run.stopped("1")
    found = standing(run.path)
    assert (found.state, found.why, found.by_hand) == ("stopped", "someone stopped it", True)
    run.submitted("2")
    assert judged(run) == ("starting", "")
    run.launched("2")
    assert "without a word" in judged(run)[1]


def test_a_finished_run_is_finished(run: LaunchedRun) -> None:
    run.submitted("1")
    run.launched("1")
    RunFolder(run.path, run.path.name).finish()
    assert judged(run) == ("finished", "")
    assert standing(run.path).ended is not None


def test_a_launch_that_flower_ended_never_began(run: LaunchedRun) -> None:
    run.submitted("1")
    found = ended_by_flower(standing(run.path), "finished:failed", "No module named server")
    assert found.state == "stopped"
    assert "finished:failed" in found.why
    assert "No module named server" in found.why


def test_what_a_site_gave_and_where_it_failed_is_added_up(run: LaunchedRun) -> None:
    run.submitted("1")
    run.launched("1")
    run.round("census", 1, 2.0)
    run.round("backbones", 0, 2.0, lost=("south",))
    run.write("again", phase="backbones", round=1, site="north", problem="its node was lost")
    run.write("missing", phase="backbones", round=1, site="north", problem="no reply", fix="look")
    found = standing(run.path).sites
    north, south = found["north"], found["south"]
    assert (north.taken, north.bytes_down, north.bytes_up, north.lost) == (2, 2000, 40, 1)
    assert (north.status, north.problem, north.fix) == ("missing", "no reply", "look")
    assert (south.taken, south.bytes_down, south.bytes_up, south.refused) == (1, 2000, 20, 1)
    assert (south.status, south.problem) == ("refused", "too many rounds")


def test_a_damaged_record_is_named(run: LaunchedRun) -> None:
    run.submitted("1")
    run.launched("1")
    (run.path / "record.jsonl").write_text("{\n{}\n")
    found = standing(run.path)
    assert found.events == []
    assert found.state == "starting"  # for all that is known
    run.submitted("2")
    with NowFile(run.path, "2"):
        pass
    assert "not a JSON object" in judged(run)[1]


@pytest.mark.parametrize("content", ["", "rehearse: false\n", "rehearse: true\n", "{", "[]"])
def test_the_launch_file_says_whether_it_is_a_rehearsal(run: LaunchedRun, content: str) -> None:
    (run.path / "launch.yaml").write_text(content)
    assert standing(run.path).rehearsal is (content == "rehearse: true\n")


def test_runs_are_listed_in_the_order_of_their_launch(tmp_path: Path) -> None:
    names = ["trial-2", "trial-10", "a"]
    for name in names:
        LaunchedRun(tmp_path / name)
    (tmp_path / "stray").mkdir()
    (tmp_path / "latest").symlink_to("a")
    assert [path.name for path in runs(tmp_path)] == names
    assert isinstance(standing(tmp_path / "a"), Standing)
    assert runs(tmp_path / "absent") == []
