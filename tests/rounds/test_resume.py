"""A run that is killed, at any moment, ends with the bits of one that was left alone."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.egress.audit import heads_in, verify
from client.egress.log import EgressLog
from client.egress.outbox import Outbox
from common.metrics import load_metrics
from common.record import read_record
from common.release import SUMS, verify_release
from tests.support.small_scenario import SITES, write_scenario

ROOT = Path(__file__).parents[2]
# In the middle of each phase, and of what lies between them. Backbones: while images pass the
# frozen fronts, while heads train, while tails train.
MOMENTS = (
    "generating smears:9",
    "federated: census:4",
    "federated: backbones:4",
    "federated: backbones:14",
    "federated: backbones:12",
    "federated: fusion:10",
    "federated: booster:9",
    "federated: booster:20",
    "federated: calibration:5",
    "federated: evaluation:6",
    "pooled: fusion:4",
    "release:1",
)
BITWISE = ("backbones.safetensors", "fusion.safetensors", "booster.ubj", "study.yaml")


def run(scenario: Path, folder: Path, moment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.support.killed", str(scenario), str(folder), moment]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def outcome(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    latest = folder / "runs" / "latest"
    verify_release(latest / "release")
    lines = (latest / "release" / SUMS).read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    metrics = load_metrics(latest / "metrics.json")
    counted = {
        "scores": metrics.arms.model_dump_json(),
        "curves": json.dumps({k: [p.model_dump() for p in v] for k, v in metrics.curves.items()}),
    }
    return {name: sums[name] for name in BITWISE} | metrics.digests, counted


@pytest.mark.slow
def test_a_run_killed_in_every_phase_ends_with_the_same_bits(tmp_path: Path) -> None:
    scenario = write_scenario(tmp_path / "scenario", "federated", "pooled")
    undisturbed = run(scenario, tmp_path / "undisturbed", "-")
    assert undisturbed.returncode == 0, undisturbed.stderr

    killed = tmp_path / "killed"
    for moment in MOMENTS:
        done = run(scenario, killed, moment)
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr)
    last = run(scenario, killed, "-")
    assert last.returncode == 0, last.stderr
    assert "Going on with" in last.stdout

    assert len(list((killed / "runs").glob("small-*"))) == 1
    assert outcome(killed) == outcome(tmp_path / "undisturbed")
    refused = [
        line
        for line in read_record(killed / "runs" / "latest" / "record.jsonl")
        if line["event"] in ("missing", "refused", "rejected", "rewound")
    ]
    assert refused == []
    for site in SITES:
        folder = killed / "runs" / "latest" / "sites" / site
        log = EgressLog(folder / "egress.jsonl")
        told = heads_in(killed / "runs" / "latest" / "record.jsonl", site)
        assert verify(log, Outbox(folder / "outbox"), told) == log.head
