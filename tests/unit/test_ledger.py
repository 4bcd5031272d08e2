"""The figures of benchmarks: who replaces whose, and what the tables say."""

import sys
from pathlib import Path

import pytest

from benchmarks.ledger import (
    Figure,
    Images,
    command_rows,
    enter,
    figure_rows,
    machine_rows,
    parser,
    read,
    shown,
    with_images,
)


def measure(
    monkeypatch: pytest.MonkeyPatch, program: str, *words: str, value: float, images: Images
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/home/someone/benchmarks/{program}.py", *words])
    asked = with_images(parser("Doc.")).parse_args(words)
    enter(asked, [Figure(name="ratio", value=value, unit="x", aim=">= 20")], images)


def test_a_program_replaces_its_own_figures_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    for program, value in (("front", 1.0), ("booster", 2.0), ("front", 3.0)):
        measure(monkeypatch, program, "--results", str(file), value=value, images="none")
    found = read(file)
    assert {name: entry.figures[0].value for name, entry in found.items()} == {
        "booster": 2.0,
        "front": 3.0,
    }


def test_generated_images_do_not_replace_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    measure(monkeypatch, "overhead", "--results", str(file), value=1.1, images="real")
    before = file.read_bytes()
    measure(monkeypatch, "overhead", "--results", str(file), value=9.9, images="generated")
    assert file.read_bytes() == before
    assert "left as they are" in capsys.readouterr().out
    measure(monkeypatch, "overhead", "--results", str(file), value=1.2, images="real")
    assert read(file)["overhead"].figures[0].value == 1.2


def test_nothing_is_written_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    measure(monkeypatch, "front", value=21.44, images="none")
    assert capsys.readouterr().out == "ratio: 21.4 x  (aim >= 20)\n"
    assert not list(tmp_path.iterdir())


def test_the_command_can_be_given_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    words = ("--data", "/secret/smears", "--results", str(file), "--weights", "../w")
    measure(monkeypatch, "site_epoch", *words, value=1.0, images="real")
    command = read(file)["site_epoch"].command
    assert command == "python -m benchmarks.site_epoch --data DIR --weights DIR"


def test_the_tables_name_program_date_and_machine_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    measure(monkeypatch, "front", "--results", str(file), value=21.44, images="none")
    entries = read(file)
    entry = entries["front"]
    twice = entry.model_copy(update={"figures": entry.figures * 2})
    elsewhere = entry.model_copy(update={"machine": "another"})
    entries = {"front": twice, "growth": elsewhere}
    head, rows = figure_rows(entries)
    assert all(len(row) == len(head) for row in rows)
    assert rows[0] == ("`front`", "ratio", "21.4 x", ">= 20", f"{entry.date}, A")
    assert rows[1] == ("", "ratio", "21.4 x", ">= 20", "")
    assert rows[2][-1] == f"{entry.date}, B"
    assert [row[0] for row in machine_rows(entries)[1]] == ["A", "B"]
    assert command_rows(entries)[1][0] == ("`front`", "`python -m benchmarks.front`", "none")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1234 s"), (123.4, "123 s"), (12.34, "12.3 s"), (1.234, "1.23 s"),
     (0.01234, "0.012 s"), (0.0, "0.00 s"), (-0.004, "-0.004 s"), (0.98, "0.98 s")],
)  # fmt: skip
def test_figures_show_the_digits_that_count(value: float, text: str) -> None:
    assert shown(Figure(name="n", value=value, unit="s")) == text


def test_a_number_without_a_unit_has_three_decimals() -> None:
    assert shown(Figure(name="macro F1", value=0.9741, unit="")) == "0.974"
