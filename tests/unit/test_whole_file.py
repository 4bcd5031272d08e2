import os
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


def test_a_file_with_a_mode_has_it_and_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "secret"
    elsewhere.write_bytes(b"as it was")
    (tmp_path / ".secret.part").symlink_to(elsewhere)
    write_whole(path, b"key", mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"key", 0o600)
    assert elsewhere.read_bytes() == b"as it was"
    write_whole(path, b"anyone's", mode=0o644)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_writes_with_a_mode_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 12001, 12000)
    write_whole(tmp_path / "given", b"", mode=0o600)
    write_whole(tmp_path / "kept", b"")
    given, kept = (tmp_path / "given").stat(), (tmp_path / "kept").stat()
    assert (given.st_uid, given.st_gid, kept.st_uid) == (12001, 12000, 0)
