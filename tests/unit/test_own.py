from pathlib import Path

import numpy as np
import pytest

from client.own import OwnFiles
from common.errors import CorruptFile
from common.wire import Step

W = {"w": np.arange(3, dtype=np.float32)}


def at(number: int, run: str = "r.federated") -> Step:
    return Step(study="0" * 64, run=run, phase="fusion", round=number, exchange=0, site="north")


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    OwnFiles(tmp_path / "own").keep(at(2), "head", W, ())
    again = OwnFiles(tmp_path / "own")
    assert again.rounds(at(9), "head") == [2]
    np.testing.assert_array_equal(again.load(at(9), "head", 2)["w"], W["w"])


def test_only_the_rounds_that_are_named_are_kept_besides(tmp_path: Path) -> None:
    files = OwnFiles(tmp_path)
    for number in (1, 2, 10):
        files.keep(at(number), "head", W, (1, 2))
    files.keep(at(11), "head", W, (2, 10))
    assert files.rounds(at(12), "head") == [2, 10, 11]


def test_a_run_that_fell_back_goes_on_and_another_run_begins_anew(tmp_path: Path) -> None:
    files = OwnFiles(tmp_path)
    files.keep(at(1), "head", W, ())
    assert files.rounds(at(2, "r.federated.1"), "head") == [1]
    assert files.rounds(at(2, "s.federated"), "head") == []


@pytest.mark.parametrize("content", [b"", b"no arrays"])
def test_what_is_damaged_or_gone_is_said(tmp_path: Path, content: bytes) -> None:
    files = OwnFiles(tmp_path)
    files.keep(at(1), "head", W, ())
    (found,) = tmp_path.rglob("*.safetensors")
    found.write_bytes(content)
    with pytest.raises(CorruptFile, match="round 1 for itself"):
        files.load(at(2), "head", 1)
    with pytest.raises(CorruptFile, match="round 3"):
        files.load(at(4), "head", 3)
