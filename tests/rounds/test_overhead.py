"""The benchmark of overhead on a study of seconds: all its ways do the work, and are told apart."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from client.site_config import Numerics
from tests.support.small_scenario import write_scenario

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WAYS = ["leukofed-sim run", "plain loop", "plain loop, backbones"]


def test_every_way_ends_and_is_told(tmp_path: Path) -> None:
    scenario = write_scenario(tmp_path)
    numerics = tmp_path / "numerics.json"
    numerics.write_text(Numerics(threads=1).model_dump_json(), encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.overhead", "--scenario", scenario, "--repeats", "1",
         "--numerics", numerics, "--work", tmp_path / "work", "--results", tmp_path / "told.json"],
        capture_output=True, text=True, cwd=ROOT, env=os.environ, timeout=300, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    (told,) = json.loads((tmp_path / "told.json").read_text()).values()
    figures = {one["name"]: one["value"] for one in told["figures"]}
    ways = [*WAYS, "run_simulation, backbones"] if find_spec("ray") else WAYS
    for way in ways:
        assert figures[f"{way}, processor"] > 0
        assert figures[f"{way}, most memory"] > 100
    ours, loop = (figures[f"{way}, processor"] for way in WAYS[:2])
    assert figures["leukofed-sim run over plain loop, processor"] == pytest.approx(ours / loop)
