"""The run's record: appended lines, crashes, and what cannot be written."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.errors import CorruptFile, RunStopped
from common.record import Record, read_record


def test_lines_carry_study_run_time_and_facts(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "record.jsonl"
    record = Record(path, study="ab" * 32, run="r1")
    record.write("round", phase="fusion", round=2, sites=("a", "b"))
    record.write("note", text="Übergröße\nsecond line")
    first, second = read_record(path)
    assert {**first, "time": ""} == {
        "time": "", "event": "round", "study": "ab" * 32, "run": "r1",
        "phase": "fusion", "round": 2, "sites": ["a", "b"],
    }  # fmt: skip
    assert datetime.fromisoformat(first["time"]).tzinfo == UTC
    assert second["text"] == "Übergröße\nsecond line"
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("tail", [b'{"event": "rou', b"\xff\xfe", b"{}"])
def test_a_line_cut_off_by_a_crash_is_removed(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "record.jsonl"
    Record(path, study="s", run="r").write("kept")
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert [line["event"] for line in read_record(path)] == ["kept"]
    Record(path, study="s", run="r").write("next")
    assert path.read_bytes().startswith(whole)
    assert [line["event"] for line in read_record(path)] == ["kept", "next"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    lines = [json.dumps({"event": "a"}), "[1, 2]", json.dumps({"event": "b"})]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorruptFile, match="line 2"):
        read_record(path)


def test_facts_cannot_replace_what_every_line_carries(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl", study="s", run="r")
    with pytest.raises(TypeError, match="study"):
        record.write("round", study="another")
    with pytest.raises(ValueError, match="JSON"):
        record.write("round", loss=float("nan"))
    assert read_record(record.path) == []


def test_a_path_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunStopped, match="cannot be written"):
        Record(tmp_path / "file" / "record.jsonl", study="s", run="r")
    with pytest.raises(CorruptFile, match="cannot be read"):
        read_record(tmp_path / "absent.jsonl")
    record = Record(tmp_path / "record.jsonl", study="s", run="r")
    record.path.unlink()
    record.path.mkdir()
    with pytest.raises(RunStopped, match="cannot be written"):
        record.write("round")
