import json
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import ConfigError
from server.run_folder import RunFolder, open_run


def run(out: Path, identity: str = "i", name: str = "demo", fresh: bool = False) -> RunFolder:
    return open_run(out, name, identity, fresh=fresh)[0]


def test_an_unfinished_run_goes_on(tmp_path: Path) -> None:
    first, resumed = open_run(tmp_path / "runs", "demo", "i", fresh=False)
    assert not resumed
    again, resumed = open_run(tmp_path / "runs", "demo", "i", fresh=False)
    assert resumed
    assert again == first
    assert first.run == first.path.name
    assert first.run.startswith("demo-")
    assert first.report == first.path / "report.html"


def test_a_finished_run_is_never_taken_up(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert not first.finished
    first.finish()
    assert first.finished
    assert run(tmp_path) != first


def test_fresh_starts_over_and_the_newest_goes_on(tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path, fresh=True)
    assert second != first
    assert run(tmp_path) == second
    second.finish()
    assert run(tmp_path) == first


@pytest.mark.parametrize(("identity", "name"), [("j", "demo"), ("i", "demo2")])
def test_another_scenario_or_other_data_is_another_run(
    tmp_path: Path, identity: str, name: str
) -> None:
    first = run(tmp_path)
    assert run(tmp_path, identity, name) != first
    assert run(tmp_path) == first


def test_many_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    runs = [run(tmp_path, fresh=True) for _ in range(4)]
    assert len({found.path for found in runs}) == 4
    assert run(tmp_path) == runs[-1]


def test_latest_points_to_the_run_that_was_opened_last(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert (tmp_path / "latest").resolve() == first.path.resolve()
    second = run(tmp_path, "j")
    assert (tmp_path / "latest").resolve() == second.path.resolve()
    run(tmp_path)
    assert (tmp_path / "latest").resolve() == first.path.resolve()
    assert not (tmp_path / "latest").readlink().is_absolute()  # the folder can be moved


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_damaged_note_is_not_taken_up(tmp_path: Path, content: str) -> None:
    first = run(tmp_path)
    (first.path / "run.json").write_text(content)
    assert run(tmp_path) != first
    first.finish()
    assert json.loads((first.path / "run.json").read_text())["finished"] is True


def test_a_folder_without_a_note_is_left_alone(tmp_path: Path) -> None:
    """A crash between making the folder and noting what it is for."""
    (tmp_path / "demo-20200101-000000").mkdir()
    found, resumed = open_run(tmp_path, "demo", "i", fresh=False)
    assert not resumed
    assert found.run != "demo-20200101-000000"


def test_two_processes_do_not_work_on_one_run(tmp_path: Path) -> None:
    found = run(tmp_path)
    with (
        found.locked(),
        pytest.raises(ConfigError, match="another process works on this run"),
        found.locked(),
    ):
        pass
    with found.locked():
        pass


@pytest.mark.parametrize("in_the_way", ["file", "latest"])
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, in_the_way: str) -> None:
    out = tmp_path / "runs"
    if in_the_way == "file":
        out.write_text("")
    else:
        (out / "latest").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be written to") as error:
        run(out)
    assert "name another folder of runs" in error.value.fix


def test_a_process_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    folder, _ = open_run(tmp_path, "a", "x", fresh=False)
    with folder.locked():
        with pytest.raises(ConfigError, match="another process"), folder.locked():
            pass
        program = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); "
    command = [sys.executable, "-c", program + "print(1, flush=True); time.sleep(1)"]
    with subprocess.Popen([*command, folder.path / "lock"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConfigError, match="another process"), folder.locked():
            pass
        with folder.locked(wait_s=30.0):
            assert other.poll() is not None or other.wait(5) == 0
