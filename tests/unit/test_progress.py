"""What the operator sees, on a terminal and in a log file."""

import io

import pytest
from rich.console import Console

from common.durations import duration
from server.accounts import Accounts, Cost
from server.progress import LiveProgress, PlainProgress, Watch, progress_for


def play(watch: Watch) -> None:
    watch.phase("backbones", 2)
    for number in (1, 2):
        watch.round("backbones", number, 2)
        for site in ("north", "south"):
            watch.site("backbones", number, site, "asked", 0.0)
        watch.site("backbones", number, "north", "done", 1.5)
        watch.site("backbones", number, "south", "done" if number == 1 else "refused", 0.2)
    watch.note("south [red]refused[/red]: too few examples")


def test_plain_lines_are_one_per_round_and_note() -> None:
    out = io.StringIO()
    with progress_for(Console(file=out, width=200)) as watch:
        assert isinstance(watch, PlainProgress)
        play(watch)
    first, note, second = out.getvalue().splitlines()
    assert first.startswith("backbones, round 1 of 2: 2 of 2 sites in ")
    assert note == "south [red]refused[/red]: too few examples"
    assert second.startswith("backbones, round 2 of 2: 1 of 2 sites in ")


def test_a_terminal_shows_phase_round_sites_and_time_left() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system=None)
    with progress_for(console) as watch:
        assert isinstance(watch, LiveProgress)
        play(watch)
    shown = out.getvalue()
    for text in ("backbones", "round 2 of 2", "1 of 2 sites", "[red]refused[/red]"):
        assert text in shown


def test_a_resumed_phase_begins_in_the_middle() -> None:
    out = io.StringIO()
    with progress_for(Console(file=out, width=200, force_terminal=True)) as watch:
        watch.round("fusion", 4, 6)
        watch.round("fusion", 5, 6)
    assert "round 5 of 6" in out.getvalue()
    assert "about 0 s left" in out.getvalue()


def test_a_finished_phase_becomes_one_line_and_a_long_job_is_counted() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system=None)
    with progress_for(console) as watch:
        watch.phase("backbones", 1)
        watch.round("backbones", 0, 1)
        watch.work("north's views", 16, 40)
        watch.work("north's views", 32, 40)
        watch.round("backbones", 1, 1)
        watch.phase("fusion", 1)
    shown = out.getvalue()
    assert "north's views: 16 of 40 " in shown
    assert "north's views: 32 of 40, about 0 s left" in shown
    assert shown.count("backbones: done in 0 s") == 1
    assert shown.count("fusion: done in 0 s") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations_read_naturally(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_accounts_add_up_and_survive_json() -> None:
    accounts = Accounts()
    accounts.add("fusion", "north", Cost(down=10, up=4, seconds=0.5))
    accounts.add("fusion", "north", Cost(up=1))
    accounts.add("census", "south", Cost(down=2, seconds=1.0))
    again = Accounts.from_json(accounts.to_json())
    again.add("census", "south", Cost(up=3))
    assert again.phases["fusion"]["north"] == Cost(10, 5, 0.5)
    assert again.phases["census"]["south"] == Cost(2, 3, 1.0)
