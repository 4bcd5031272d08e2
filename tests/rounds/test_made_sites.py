"""A run whose sites were made: unevenly divided, one shifted, one with wrong labels."""

import csv
import io
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from rich.console import Console

from client.data.shelf import keys_of, shelves_below
from common.digests import digest_file
from common.metrics import load_metrics
from common.record import read_record
from server.progress import PlainProgress
from tests.support.small_scenario import run_small, write_scenario

pytestmark = pytest.mark.slow
_MADE = """\
shifts: {south: {blue: 1.4, jpeg: 50}}
label_noise: {north: {share: 0.25}}
"""


def test_what_was_done_to_the_sites_is_told_and_only_that_was_done(tmp_path: Path) -> None:
    scenario = write_scenario(tmp_path)
    text = scenario.read_text().replace("by: column\n  column: site", "by: dirichlet\n  alpha: 2")
    scenario.write_text(text + _MADE)
    with PlainProgress(Console(file=io.StringIO())) as watch:
        folder = run_small(scenario, tmp_path, watch).path
    told = load_metrics(folder / "metrics.json").partition
    assert told is not None
    assert told.by == "dirichlet"
    assert told.sha256 == sha256((folder / "partition.csv").read_bytes()).hexdigest()
    assert told.shifts == {"south": {"blue": 1.4, "jpeg": 50}}
    (line,) = [x for x in read_record(folder / "record.jsonl") if x["event"] == "partition"]
    assert line["sha256"] == told.sha256

    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = [row for row in rows if row["label"] != row["true_label"]]
    assert {(row["site"], row["split"]) for row in wrong} == {("north", "train")}
    assert told.flipped == {"north": len(wrong)}
    training = Counter(
        r["true_label"] for r in rows if (r["site"], r["split"]) == ("north", "train")
    )
    assert len(wrong) == sum(round(0.25 * n) for n in training.values())

    shifted = tmp_path / "cache" / "shifted"
    (dataset,) = (tmp_path / "cache").glob("smears-*")
    keys = {key[:32] for shelf in shelves_below(tmp_path / "cache") for key in keys_of(shelf)}
    for row in rows:
        own = digest_file(shifted / row["path"])
        original = digest_file(dataset / row["source"])
        assert (own != original) == (row["site"] == "south")
        if row["split"] == "train":
            assert own[:32] in keys
            assert row["site"] != "south" or original[:32] not in keys
    assert set(told.colours) == {"north", "south", "west"}
    assert "How the sites were made" in (folder / "report.html").read_text()
