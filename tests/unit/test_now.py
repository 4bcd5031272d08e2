from pathlib import Path

import pytest

from common.errors import RunStopped
from server.now import NowFile, read_now
from server.progress import Watches


def told(run: Path) -> tuple[str, int, int, int, dict[str, str]]:
    now = read_now(run)
    assert now is not None
    sites = {name: site.status for name, site in now.sites.items()}
    return now.phase, now.round, now.of, now.exchange, sites


def test_it_tells_phase_round_and_sites(tmp_path: Path) -> None:
    watch = Watches(NowFile(tmp_path, "7"))
    watch.phase("backbones", 3)
    assert told(tmp_path) == ("backbones", 0, 3, 0, {})
    watch.round("backbones", 2, 3)
    watch.site("backbones", 2, "north", "asked", 0.0)
    watch.site("backbones", 2, "north", "done", 1.5)
    watch.site("backbones", 2, "south", "asked", 0.0)
    watch.work("the trees", 1, 2)
    watch.note("a sentence")
    assert told(tmp_path) == ("backbones", 2, 3, 0, {"north": "done", "south": "asked"})
    now = read_now(tmp_path)
    assert now is not None
    assert now.flower_run == "7"
    assert now.since <= now.sites["north"].since <= now.sites["south"].since


def test_a_site_asked_again_after_its_reply_begins_an_exchange(tmp_path: Path) -> None:
    watch = NowFile(tmp_path, "7")
    watch.round("booster", 1, 6)
    for status in ("asked", "asked", "done"):  # asked twice: it lacked some part of the model
        watch.site("booster", 1, "north", status, 0.0)
    watch.site("booster", 1, "south", "missing", 0.0)
    assert told(tmp_path)[3:] == (0, {"north": "done", "south": "missing"})
    watch.site("booster", 1, "south", "asked", 0.0)
    assert told(tmp_path)[3:] == (1, {"south": "asked"})
    watch.site("booster", 1, "north", "asked", 0.0)
    assert told(tmp_path)[3:] == (1, {"south": "asked", "north": "asked"})
    watch.round("booster", 2, 6)
    assert told(tmp_path)[1:] == (2, 6, 0, {})


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (RunStopped("the quorum is missed", fix="mend it"), "the quorum is missed"),
        (SystemExit(0), "Flower stopped it"),
        (ZeroDivisionError("secret"), "its process ended by ZeroDivisionError, a fault in the"),
    ],
)
def test_it_tells_how_the_process_ended(tmp_path: Path, error: BaseException, problem: str) -> None:
    with pytest.raises(type(error)), NowFile(tmp_path, "7"):
        raise error
    now = read_now(tmp_path)
    assert now is not None
    assert now.ended is not None
    assert now.ended.problem.startswith(problem)
    assert "secret" not in now.model_dump_json()
    assert now.ended.fix


def test_a_run_that_finished_has_no_problem(tmp_path: Path) -> None:
    with NowFile(tmp_path, "7") as watch:
        watch.round("census", 1, 1)
    now = read_now(tmp_path)
    assert now is not None
    assert now.ended is not None
    assert now.ended.problem == ""


def test_a_process_that_was_followed_by_another_says_nothing_more(tmp_path: Path) -> None:
    with NowFile(tmp_path, "7") as old:
        old.round("census", 1, 1)
        NowFile(tmp_path, "8").round("fusion", 1, 2)
    now = read_now(tmp_path)
    assert now is not None
    assert (now.flower_run, now.ended) == ("8", None)


def test_a_disk_that_refuses_costs_the_run_nothing(tmp_path: Path) -> None:
    with NowFile(tmp_path / "absent", "7") as watch:
        watch.round("census", 1, 1)
    assert read_now(tmp_path / "absent") is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"flower_run": 1}'])
def test_a_damaged_file_tells_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "now.json").write_text(content)
    assert read_now(tmp_path) is None
