"""What monitoring is told, and when it is told to look."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from server.federation import Federation
from server.now import NowFile
from server.operations import all_standings
from server.run_folder import RunFolder
from server.run_list import run_rows
from server.services_file import Part, ServicesNow, write_services
from server.standing import standing
from server.status import PENDING, Status, chosen, status_of
from server.status_view import page
from tests.support.launched import LaunchedRun, later, site_state, tiny_federation, tiny_study

NODES = {name: site_state(name) for name in ("north", "south")}


@pytest.fixture
def run(tmp_path: Path) -> LaunchedRun:
    tiny_federation(tmp_path)
    return LaunchedRun(tmp_path / "runs" / "trial-1")


@pytest.fixture
def at_work(run: LaunchedRun) -> Iterator[LaunchedRun]:
    """A run in its third round of the backbones, whose heads took 10 s each."""
    run.submitted("1")
    with RunFolder(run.path, run.path.name).locked():
        run.launched("1")
        run.round("census", 1, 2.0)
        run.round("backbones", 1, 10.0)
        watch = NowFile(run.path, "1")
        watch.round("backbones", 2, 3)
        watch.site("backbones", 2, "north", "asked", 0.0)
        yield run


def look(
    run: LaunchedRun, now: datetime | None = None, *, link: bool = True, **states: str
) -> Status:
    federation = federation_of(run)
    nodes = NODES | {name: site_state(name, state) for name, state in states.items()}
    every = all_standings(federation)
    one = standing(run.path)
    others = [other for other in every if other.path != run.path]
    return status_of(federation, one, others, link_answers=link, nodes=nodes, now=now)


def federation_of(run: LaunchedRun) -> Federation:
    return Federation(run.path.parent.parent)


def shown(status: Status) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(page(status))
    return out.getvalue()


def test_a_run_at_work_needs_no_attention(at_work: LaunchedRun) -> None:
    status = look(at_work, later(4.0), south="offline")
    found = status.run
    assert found is not None
    assert status.attention == ("south is not connected",)
    assert look(at_work).attention == ()
    assert (found.phase_number, found.phases, found.round, found.rounds) == (2, 7, 2, 3)
    assert found.round_elapsed_s == pytest.approx(4.0, abs=0.5)
    assert found.round_expected_s == 10.0
    assert found.left_s is None  # the tails of this study have never been trained
    north, south = found.sites["north"], found.sites["south"]
    assert (north.status, north.replies, north.bytes_down) == ("asked", 2, 2000)
    assert north.elapsed_s == pytest.approx(4.0, abs=0.5)
    assert (south.status, south.elapsed_s, south.node) == ("waiting", None, "offline")
    text = shown(status)
    assert "Phase 2 of 7: backbones, round 2 of 3; 4 s of about 10 s" in text
    assert "Time left: not known yet" in text
    assert "2.0 kB" in text
    assert "! south is not connected" in text


def test_an_earlier_run_of_the_study_tells_what_is_left(at_work: LaunchedRun) -> None:
    earlier = LaunchedRun(at_work.path.parent / "trial-rehearsal-1")
    other = LaunchedRun(at_work.path.parent / "other-1", tiny_study(seed=2))
    for rehearsal, factor in ((earlier, 1.0), (other, 100.0)):
        for phase, number in (("backbones", 3), ("fusion", 0), ("fusion", 1), ("booster", 1),
                              ("calibration", 1), ("evaluation", 1)):  # fmt: skip
            rehearsal.write("launched", launch=1, flower_run="0")
            rehearsal.round(phase, number, 5.0 * factor)
    found = look(at_work, later(4.0)).run
    assert found is not None
    # 10 - 4 s of heads, then tails, moments, two rounds each of fusion and booster, and two more
    assert found.left_s == pytest.approx(6 + 8 * 5.0, abs=0.5)


def test_a_round_that_takes_far_too_long_is_told(at_work: LaunchedRun) -> None:
    assert look(at_work, later(300.0)).attention == ()
    (text,) = look(at_work, later(700.0)).attention
    assert "backbones, round 2 has lasted for 11 min" in text
    assert "took 10 s" in text


def test_a_site_that_was_lost_in_this_round_is_told(at_work: LaunchedRun) -> None:
    at_work.write("refused", phase="backbones", round=2, site="north", problem="no", fix="ask")
    watch = NowFile(at_work.path, "1")
    watch.round("backbones", 2, 3)
    watch.site("backbones", 2, "north", "refused", 0.0)
    status = look(at_work)
    assert status.attention == ("north is refused in this round: no",)
    assert "north, " in shown(status)
    assert "To fix: ask" in shown(status)


def test_a_launch_that_stays_pending_is_told(run: LaunchedRun) -> None:
    run.submitted("1")
    assert look(run).attention == ()
    assert look(run, later(40.0)).attention == (f"trial-1: {PENDING}",)


def test_a_run_that_stopped_by_itself_needs_attention_and_one_by_hand_does_not(
    run: LaunchedRun,
) -> None:
    run.submitted("1")
    run.launched("1")
    run.write("stopped", phase="census", round=1, problem="1 of 2 sites answered")
    status = look(run)
    assert status.attention == ("trial-1 stopped: 1 of 2 sites answered",)
    assert "Stopped, now: 1 of 2 sites answered" in shown(status)
    run.stopped("1")
    assert look(run).attention == ()


def test_a_silent_superlink_needs_attention(run: LaunchedRun) -> None:
    status = look(run, link=False)
    assert status.superlink == "silent"
    assert status.attention[0] == (
        "the SuperLink does not answer: run `leukofed-server start`, and leave it running"
    )
    assert "the SuperLink does not answer" in shown(status)


def test_what_the_services_tell_counts_while_they_run(run: LaunchedRun) -> None:
    federation = federation_of(run)
    federation.front.mkdir()
    run.submitted("1")
    words = [sys.executable, "-c", "input()", "start"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        part = Part(None, 1, answers=False)
        note = ServicesNow(
            process.pid, "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:15+00:00", part, part,
            troubles=["the disk is full"],
        )  # fmt: skip
        write_services(federation, note)
        status = look(run)
        process.communicate(b"\n")
    assert status.services == note
    assert status.attention == ("the disk is full",)
    assert "services running since 2026-01-02" in shown(status)
    assert json.loads(status.model_dump_json())["services"]["troubles"] == ["the disk is full"]
    gone = look(run)
    assert (gone.services, gone.attention) == (None, ())
    assert "services running" not in shown(gone)


def test_the_run_at_work_is_chosen_else_the_newest(run: LaunchedRun) -> None:
    federation = federation_of(run)
    assert chosen([]) is None
    run.submitted("1")
    other = LaunchedRun(run.path.parent / "trial-2")
    other.submitted("2")
    other.stopped("2")
    found = chosen(all_standings(federation))
    assert found is not None
    assert found.run == "trial-1"
    run.stopped("1")
    other.submitted("3")
    other.stopped("3")
    found = chosen(all_standings(federation))
    assert found is not None
    assert found.run == "trial-2"


def test_a_federation_without_runs_has_a_status(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    status = status_of(federation, None, [], link_answers=True, nodes={})
    assert (status.run, status.attention) == (None, ())
    assert "No run was launched yet." in shown(status)
    assert Status.model_validate_json(status.model_dump_json()) == status


def test_a_damaged_run_hides_no_other(run: LaunchedRun) -> None:
    run.submitted("1")
    LaunchedRun(run.path.parent / "torn-1").path.joinpath("study.yaml").write_text("{")
    assert [one.run for one in all_standings(federation_of(run))] == ["trial-1"]


def test_a_finished_run_has_a_line_with_its_figure(run: LaunchedRun) -> None:
    run.submitted("1")
    run.launched("1")
    run.round("census", 1, 2.0, lost=("south",))
    figures = {"arms": {"federated": {"macro_f1": 0.75}}}
    (run.path / "metrics.json").write_text(json.dumps(figures))
    (run.path / "report.html").write_text("")
    assert run_rows([standing(run.path)])[0].macro_f1 is None
    RunFolder(run.path, run.path.name).finish()
    (row,) = run_rows(all_standings(federation_of(run)))
    assert (row.state, row.macro_f1, row.took_part, row.invited) == (
        "finished", 0.75, ("north",), 2,
    )  # fmt: skip
    assert row.report.endswith("report.html")
    assert datetime.fromisoformat(row.to_json()["began"]) < datetime.now(UTC)
