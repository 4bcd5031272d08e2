"""Looks of a profiler, counted by our frames."""

from collections import Counter
from pathlib import Path

from benchmarks.where_time_goes import draw, read_stacks, tree

LINES = [
    "<module> (leukofed-sim);simulate (simulations/run.py);fit_tail (client/training/fit.py);"
    "backward (torch/_tensor.py) 30",
    "<module> (leukofed-sim);simulate (simulations/run.py);fit_tail (client/training/fit.py) 10",
    "<module> (leukofed-sim);simulate (simulations/run.py:41);grow (common/boosting/growing.py) 5",
    "_bootstrap (threading.py);wait (threading.py) 99",
]
RUN, FIT = "simulations/run.py: simulate", "client/training/fit.py: fit_tail"
GROW = "common/boosting/growing.py: grow"


def test_a_look_falls_to_the_innermost_frame_of_ours() -> None:
    assert read_stacks(LINES) == Counter({(RUN, FIT): 40, (RUN, GROW): 5})


def test_the_tree_holds_each_look_at_every_depth() -> None:
    root = tree(read_stacks(LINES))
    assert root.count == root.below[RUN].count == 45
    assert {name: node.count for name, node in root.below[RUN].below.items()} == {FIT: 40, GROW: 5}


def test_the_picture_names_the_wide_bars(tmp_path: Path) -> None:
    draw(read_stacks(LINES), tmp_path / "profile.svg")
    text = (tmp_path / "profile.svg").read_text(encoding="utf-8")
    assert "fit.fit_tail" in text
    assert "growing.grow" in text
