from pathlib import Path

import pytest

from common.whole_file import write_whole


def test_a_file_is_replaced_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    for data in (b"old", b"newer and longer"):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["facts.json"]


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_whole(path, b"old")
    (tmp_path / ".facts.json.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"x" * 100_000)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["facts.json"]


def test_what_a_crash_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".facts.json.part").write_bytes(b"half of something longer")
    write_whole(tmp_path / "facts.json", b"whole")
    assert (tmp_path / "facts.json").read_bytes() == b"whole"
    assert len(list(tmp_path.iterdir())) == 1
