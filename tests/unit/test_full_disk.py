"""A disk of the coordinator that is full, and has room again: a small one, made for the test."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import RunStopped
from common.record import Record, read_record
from server.checkpoints import Checkpoints, Part, State
from server.run_log import RunLog

DIGEST = "d" * 64


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    if os.geteuid() != 0:
        pytest.skip("making a small disk takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine makes no small disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Use up all the room; return the file that took it."""
    file = disk / "filling"
    with file.open("wb", buffering=0) as filling:
        try:
            while True:
                filling.write(b"x" * 4096)
        except OSError:
            return file


def state(number: int) -> State:
    return State((1, number), {"heads": Part.of({"w": np.full(10_000, number, np.float32)})}, {})


def test_a_record_goes_on_after_the_line_that_did_not_fit(disk: Path) -> None:
    record = Record(disk / "record.jsonl", study=DIGEST, run="trial-1")
    record.write("round", round=1)
    filling = fill(disk)
    with pytest.raises(RunStopped, match="record cannot be written: No space left"):
        record.write("exchange", long="y" * 10_000)
    filling.unlink()
    record.write("stopped", round=1)
    assert [event["event"] for event in read_record(record.path)] == ["round", "stopped"]


def test_a_log_that_does_not_fit_costs_no_run(
    disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (disk / "progress.log").write_text("before\n", encoding="utf-8")
    with RunLog(disk / "progress.log") as log:
        filling = fill(disk)
        log.write("x" * 10_000 + "\n")
        filling.unlink()
        log.write("after\n")
    text = (disk / "progress.log").read_text(encoding="utf-8")
    assert (text[:7], text[-6:]) == ("before\n", "after\n")
    assert capsys.readouterr().out.endswith("x\nafter\n")


def test_a_run_goes_on_from_the_checkpoint_before(disk: Path) -> None:
    checkpoints = Checkpoints(disk / "federated")
    checkpoints.save(state(1), DIGEST, "backbones")
    filling = fill(disk)
    with pytest.raises(RunStopped, match="checkpoint cannot be written: No space left"):
        checkpoints.save(state(2), DIGEST, "backbones")
    found = Checkpoints(disk / "federated").latest(DIGEST, note=pytest.fail)
    assert found is not None
    assert found.position == (1, 1)
    filling.unlink()
    checkpoints.save(state(2), DIGEST, "backbones")
    again = Checkpoints(disk / "federated").latest(DIGEST, note=pytest.fail)
    assert again is not None
    assert again.position == (1, 2)
    assert not list(disk.rglob(".*.part"))
