import json
import time
from pathlib import Path

import pytest

from server.stopwatch import Stopwatch


def test_laps_of_one_name_add_over_processes(tmp_path: Path) -> None:
    file = tmp_path / "seconds.json"
    start = time.monotonic()
    for _ in range(2):
        with Stopwatch(file).lap("pooled"):
            time.sleep(0.02)
    most = time.monotonic() - start
    found = Stopwatch(file).seconds
    assert found == json.loads(file.read_text())
    assert 0.04 <= found["pooled"] <= most


def test_laps_nest(tmp_path: Path) -> None:
    watch = Stopwatch(tmp_path / "seconds.json")
    with watch.lap("total"):
        for name in ("a", "b"):
            with watch.lap(name):
                time.sleep(0.01)
    assert watch.seconds["total"] >= watch.seconds["a"] + watch.seconds["b"] >= 0.02
    assert Stopwatch(tmp_path / "seconds.json").seconds == watch.seconds


def test_time_that_ended_in_an_error_counts(tmp_path: Path) -> None:
    watch = Stopwatch(tmp_path / "seconds.json")

    def fail() -> None:
        with watch.lap("a"):
            time.sleep(0.01)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert Stopwatch(tmp_path / "seconds.json").seconds["a"] >= 0.01


@pytest.mark.parametrize("content", ["", "{", "\udcff"])
def test_a_damaged_file_begins_at_zero(tmp_path: Path, content: str) -> None:
    file = tmp_path / "seconds.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    watch = Stopwatch(file)
    assert watch.seconds == {}
    with watch.lap("a"):
        pass
    assert set(Stopwatch(file).seconds) == {"a"}


def test_a_disk_that_refuses_hides_nothing(tmp_path: Path) -> None:
    watch = Stopwatch(tmp_path / "absent" / "seconds.json")
    with pytest.raises(KeyError), watch.lap("a"):
        raise KeyError
    with watch.lap("a"):
        pass
    assert watch.seconds["a"] >= 0
