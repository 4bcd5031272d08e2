"""`make bench` runs programs that exist, and their manual names each of them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
LISTED = re.findall(r"^BENCH := (.+)$", MAKEFILE, re.MULTILINE)[0].split()


@pytest.mark.parametrize("name", LISTED)
def test_a_program_of_make_bench_enters_its_figures_and_is_explained(name: str) -> None:
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    assert "\ndef main(" in source
    assert "    enter(" in source
    assert f"`{name}`" in (ROOT / "docs" / "bench" / "benchmarks.md").read_text(encoding="utf-8")


def test_options_are_of_programs_that_are_run() -> None:
    assert set(re.findall(r"^bench-([a-z_]+):", MAKEFILE, re.MULTILINE)) <= set(LISTED)
