import os
from pathlib import Path

import pytest

from client.data.folders import manifest_from_folders
from client.data.manifest import read_manifest
from common.errors import DataError
from tests.support.bad_input import in_time


def tree(folder: Path, *files: str) -> Path:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_folder_names_are_labels(tmp_path: Path) -> None:
    tree(
        tmp_path, "Pre B/b.JPG", "Pre B/deep/er/a.tif", "Benign/x.png", "Benign/notes.txt",
        "Benign/._x.png", ".cache/y.png", "README.md", "Benign/z, \"q\".bmp",
    )  # fmt: skip
    found = manifest_from_folders(tmp_path)
    assert found.text.splitlines() == [
        "path,label",
        "Benign/x.png,Benign",
        '"Benign/z, ""q"".bmp",Benign',
        "Pre B/b.JPG,Pre B",
        "Pre B/deep/er/a.tif,Pre B",
    ]
    assert found.labels == {"Benign": 2, "Pre B": 2}
    assert found.skipped == 2


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    tree(tmp_path, "images/x/1.png", "images/y, z/2.png")
    found = manifest_from_folders(tmp_path / "images", relative_to=tmp_path)
    (tmp_path / "manifest.csv").write_text(found.text, encoding="utf-8")
    manifest = read_manifest(tmp_path / "manifest.csv", ("x", "y, z"))
    assert [e.image.relative_to(tmp_path).as_posix() for e in manifest.examples] == [
        "images/x/1.png",
        "images/y, z/2.png",
    ]


def test_a_packing_folder_is_entered(tmp_path: Path) -> None:
    tree(tmp_path, "Original/Benign/1.jpg", "Original/Pre/2.jpg", "manifest.csv")
    found = manifest_from_folders(tmp_path)
    assert found.text == "path,label\nOriginal/Benign/1.jpg,Benign\nOriginal/Pre/2.jpg,Pre\n"


def test_one_class_alone_is_a_class(tmp_path: Path) -> None:
    assert manifest_from_folders(tree(tmp_path, "Benign/1.jpg")).labels == {"Benign": 1}


def test_folders_inside_a_class_may_be_patients(tmp_path: Path) -> None:
    tree(tmp_path, "Benign/p1/1.jpg", "Benign/p2/day 2/1.jpg")
    found = manifest_from_folders(tmp_path, subfolder="patient")
    assert found.text.splitlines() == [
        "path,label,patient",
        "Benign/p1/1.jpg,Benign,p1",
        "Benign/p2/day 2/1.jpg,Benign,p2/day 2",
    ]


def test_links_to_folders_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "site/x/1.png", "site/y/2.png", "elsewhere/3.png")
    (tmp_path / "site" / "z").symlink_to(tmp_path / "elsewhere")
    assert manifest_from_folders(tmp_path / "site").labels == {"x": 1, "y": 1}


@pytest.mark.parametrize("files", [(), ("notes.txt",), ("1.jpg", "x/2.jpg"), ("x/notes.txt",)])
def test_no_class_folders_or_loose_images_are_refused(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    with pytest.raises(DataError, match="images beside them") as caught:
        manifest_from_folders(tree(tmp_path, *files))
    assert str(tmp_path) not in str(caught.value)


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        manifest_from_folders(tmp_path / "absent")


def test_a_manifest_beside_its_images_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "images/x/1.png", "reports/manifest.csv")
    with pytest.raises(DataError, match="not lie above"):
        manifest_from_folders(tmp_path / "images", relative_to=tmp_path / "reports")


@pytest.mark.parametrize("name", [b"Pre/b\xff.jpg", b"Pre/b\\c.jpg", b" Pre/b.jpg"])
def test_a_name_that_no_manifest_can_hold_is_told(tmp_path: Path, name: bytes) -> None:
    tree(tmp_path, "Benign/a.jpg", os.fsdecode(name))
    with pytest.raises(DataError) as caught:
        manifest_from_folders(tmp_path)
    error = caught.value
    assert error.problem == (
        "1 of 2 images have names that no manifest can hold: not UTF-8, with a backslash, or with "
        "a space at an end"
    )
    assert error.fix == "rename these files or folders"
    assert error.local_detail == os.fsdecode(name)


def test_what_is_no_file_is_not_listed(tmp_path: Path) -> None:
    tree(tmp_path, "Benign/a.jpg", "Benign/b.jpg/c.png")
    os.mkfifo(tmp_path / "Benign" / "d.jpg")
    (tmp_path / "Benign" / "e.jpg").symlink_to("nothing.jpg")
    (tmp_path / "Benign" / "f.jpg").symlink_to("f.jpg")
    (tmp_path / "Benign" / "again").symlink_to(tmp_path / "Benign")
    with in_time():
        found = manifest_from_folders(tmp_path)
    assert found.text == "path,label\nBenign/a.jpg,Benign\nBenign/b.jpg/c.png,Benign\n"
