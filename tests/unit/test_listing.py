"""What a listing passes over, and names that no manifest can hold."""

import os
from pathlib import Path

import pytest

from client.data.inventory import by_layout
from client.data.layouts.layout import open_folder
from common.errors import DataError
from tests.support.bad_input import in_time


def tree(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def listed(folder: Path) -> str:
    opened = open_folder(folder, lambda what, done, of: None)
    return by_layout(opened, "class-folders", None, folder, lambda: b"").listing.text


@pytest.mark.parametrize("name", [b"Pre/b\xff.jpg", b"Pre/b\\c.jpg", b" Pre/b.jpg"])
def test_a_name_that_no_manifest_can_hold_is_told(tmp_path: Path, name: bytes) -> None:
    tree(tmp_path, "Benign/a.jpg", os.fsdecode(name))
    with pytest.raises(DataError) as caught:
        listed(tmp_path)
    error = caught.value
    assert error.problem == (
        "1 of 2 images have names that no manifest can hold: not UTF-8, with a backslash, or with "
        "a space at an end"
    )
    assert error.fix == "rename these files or folders"
    assert error.local_detail == os.fsdecode(name)


def test_what_is_no_file_is_not_listed(tmp_path: Path) -> None:
    tree(tmp_path, "Benign/a.jpg", "Benign/b.jpg/c.png", "Pre/g.jpg")
    os.mkfifo(tmp_path / "Benign" / "d.jpg")
    (tmp_path / "Benign" / "e.jpg").symlink_to("nothing.jpg")
    (tmp_path / "Benign" / "f.jpg").symlink_to("f.jpg")
    (tmp_path / "Benign" / "again").symlink_to(tmp_path / "Benign")
    with in_time():
        text = listed(tmp_path)
    assert text == "path,label\nBenign/a.jpg,Benign\nBenign/b.jpg/c.png,Benign\nPre/g.jpg,Pre\n"
