"""`make bench` runs programs that exist, and the manual names every program."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if "\ndef main(" in path.read_text(encoding="utf-8")
}
OF_OTHERS = {"plain_inputs", "plain_study", "flower_study"}  # that overhead starts


def test_make_bench_runs_programs_that_exist() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    listed = re.search(r"^BENCH := (.+)$", text, re.MULTILINE)
    assert listed
    assert set(listed[1].split()) <= PROGRAMS
    assert set(re.findall(r"\bbench-([a-z_]+)", text)) <= PROGRAMS


def test_the_manual_names_every_program() -> None:
    page = (ROOT / "docs" / "bench" / "benchmarks.md").read_text(encoding="utf-8")
    assert {name for name in PROGRAMS - OF_OTHERS if f"`{name}`" not in page} == set()
