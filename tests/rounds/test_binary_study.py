"""A study of two classes on a dataset of four labels, run from end to end."""

import csv
import io
from collections import Counter

import pytest
from rich.console import Console

from common.metrics import load_metrics
from common.release import read_release
from server.progress import PlainProgress
from tests.support.small_scenario import run_small, write_scenario

pytestmark = pytest.mark.slow
LABELS = """\
  labels:
    name: binary
    classes: [normal, ALL]
    collapse: {Benign: normal, early: ALL, PRE: ALL, Pro: ALL}
"""


def test_four_labels_serve_a_binary_study(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("binary")
    scenario = write_scenario(home, head_epochs=1)
    text = scenario.read_text(encoding="utf-8")
    scenario.write_text(text.replace("  quorum: 2\n", f"  quorum: 2\n{LABELS}"), encoding="utf-8")
    with PlainProgress(Console(file=io.StringIO(), width=200)) as watch:
        folder = run_small(scenario, home, watch)

    (generated,) = (home / "cache").glob("smears-*/manifest.csv")
    with generated.open(newline="") as file:
        given = {row["path"]: row["label"] for row in csv.DictReader(file)}
    with (folder.path / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {given[row["path"]] for row in rows} == {"Benign", "Early", "Pre", "Pro"}
    assert all(row["label"] == ("normal" if given[row["path"]] == "Benign" else "ALL")
               for row in rows)  # fmt: skip

    metrics = load_metrics(folder.path / "metrics.json")
    tested = Counter(row["label"] for row in rows if row["split"] == "test")
    assert metrics.classes == ("normal", "ALL")
    supports = [sum(row) for row in metrics.arms.federated.confusion]
    assert supports == [tested["normal"], tested["ALL"]]

    release = read_release(folder.path / "release.zip")
    assert release.classes == ("normal", "ALL")
    assert release.study.labels.collapse["PRE"] == "ALL"
