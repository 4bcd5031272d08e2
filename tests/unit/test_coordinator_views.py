"""What the coordinator's commands print of runs, with no SuperLink to ask."""

import json
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.cli.main import main
from server.federation import Federation
from server.following import log_lines, logged
from server.run_folder import RunFolder
from tests.support.keys import write_certificates
from tests.support.launched import LaunchedRun, tiny_federation


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    made = tiny_federation(tmp_path)
    write_certificates(made.authority.parent, days=90)
    return made


def command(federation: Federation, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--federation", str(federation.path)])


def test_before_the_first_run_there_is_nothing_to_show(federation: Federation) -> None:
    assert command(federation, "runs").stdout == "No run was launched yet.\n"
    assert command(federation, "logs").stdout == "No run was launched yet.\n"
    status = command(federation, "status")
    assert status.exit_code == 1  # the SuperLink is silent
    assert "No run was launched yet." in status.stdout
    assert json.loads(command(federation, "status", "--json").stdout)["run"] is None


def test_a_run_that_stopped_is_shown_with_its_reason(federation: Federation) -> None:
    run = LaunchedRun(federation.runs / "trial-1")
    run.submitted("1")
    run.launched("1")
    run.round("census", 1, 2.0, lost=("south",))
    run.write("stopped", phase="census", round=1, problem="1 of 2 sites answered [/b]")
    (run.path / "progress.log").write_text("census, round 1 of 1: 1 of 2 sites\n")
    line = command(federation, "runs").stdout
    for text in ("trial-1", "stopped: 1 of 2 sites", "1 of 2"):
        assert text in line
    assert command(federation, "logs").stdout == "census, round 1 of 1: 1 of 2 sites\n"
    assert command(federation, "logs", "--follow").stdout.startswith("census")
    status = command(federation, "status", "--run", "trial-1")
    assert status.exit_code == 1
    assert "Stopped, now: 1 of 2 sites answered" in status.stdout
    assert "too many rounds" in status.stdout
    assert "! trial-1 stopped" in status.stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("launch", "trial"), "the SuperLink does not answer"),
        (("launch", "other"), "no study called 'other' was proposed"),
        (("resume",), "there is no unfinished run"),
        (("stop", "trial-1"), "there is no run 'trial-1'"),
        (("logs", "trial-1"), "there is no run 'trial-1'"),
        (("status", "--run", "trial-1"), "there is no run 'trial-1'"),
    ],
)
def test_what_cannot_be_done_is_said(
    federation: Federation, words: tuple[str, ...], text: str
) -> None:
    result = command(federation, *words)
    assert result.exit_code == 1
    assert text in result.output
    assert not federation.runs.exists()


def test_options_that_do_not_go_together_are_refused(federation: Federation) -> None:
    assert command(federation, "status", "--watch", "--json").exit_code == 2
    assert command(federation, "logs", "--follow", "--flower").exit_code == 2


def test_a_log_is_followed_until_the_run_ends(tmp_path: Path) -> None:
    run = LaunchedRun(tmp_path / "trial-1")
    log = run.path / "progress.log"
    found: list[str] = []

    def follow() -> None:
        found.extend(log_lines(run.path, follow=True))

    with RunFolder(run.path, "trial-1").locked():
        follower = threading.Thread(target=follow)
        follower.start()
        log.write_text("first\n")
        end = time.monotonic() + 20
        while not found and time.monotonic() < end:
            time.sleep(0.01)
        with log.open("a") as file:
            file.write("second\n")
    follower.join(20)
    assert "".join(found) == "first\nsecond\n"


def test_an_earlier_attempts_lines_are_not_shown_again(tmp_path: Path) -> None:
    run = LaunchedRun(tmp_path / "trial-1")
    assert logged(run.path) == 0
    log = run.path / "progress.log"
    log.write_text("réunion\n")
    since = logged(run.path)
    with log.open("a") as file:
        file.write("second\n")
    assert "".join(log_lines(run.path, follow=False, since=since)) == "second\n"
    assert "".join(log_lines(run.path, follow=False)) == "réunion\nsecond\n"
