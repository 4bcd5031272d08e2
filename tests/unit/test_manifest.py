from pathlib import Path

import pytest
import yaml

from client.data.groups import join_groups
from client.data.manifest import Manifest, read_manifest
from common.errors import DataError
from common.study.data import EVERY_IMAGE

CLASSES = ("Benign", "Early", "Pre")


def written(folder: Path, text: str, images: str = "a b c", encoding: str = "utf-8") -> Path:
    """Write a manifest, and files that it may list."""
    for name in images.split():
        (folder / f"{name}.jpg").write_bytes(name.encode())
    path = folder / "manifest.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


def groups(manifest: Manifest) -> list[str]:
    return [example.group for example in manifest.examples]


def test_rows_become_examples_in_file_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "path,label,patient,slide,sha256\nb.jpg,Pre,p1,s1,x\na.jpg,Benign,p1,,y\n",
    )
    first, second = read_manifest(path, CLASSES).examples
    assert (first.image, first.label, first.patient) == (tmp_path / "b.jpg", 2, "p1")
    assert (first.slide, first.group, first.digest) == ("s1", "p1", "")
    assert (second.image, second.label, second.slide) == (tmp_path / "a.jpg", 0, None)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_spreadsheets_write(
    tmp_path: Path, delimiter: str, newline: str, encoding: str
) -> None:
    lines = ["Path, LABEL ,Patient,Notiz", '"a.jpg",Benign,Jäger,', ",,,", "b.jpg ,Pre,p2,"]
    text = newline.join(line.replace(",", delimiter) for line in [*lines, ""])
    manifest = read_manifest(written(tmp_path, text, encoding=encoding), CLASSES)
    assert groups(manifest) == ["Jäger", "p2"]
    assert [example.label for example in manifest.examples] == [0, 2]


def test_backslashes_and_dots_name_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "Pre B [x]").mkdir()
    (tmp_path / "Pre B [x]" / "Snap (1).JPG").touch()
    path = written(tmp_path, "path,label\n.\\Pre B [x]\\Snap (1).JPG,Pre\n")
    (example,) = read_manifest(path, CLASSES).examples
    assert example.image == tmp_path / "Pre B [x]" / "Snap (1).JPG"


def test_the_group_is_the_first_column_that_every_row_fills(tmp_path: Path) -> None:
    path = written(
        tmp_path, "path,label,field,slide,patient\na.jpg,Pre,f1,s1,p1\nb.jpg,Pre,f1,s2,\n"
    )
    manifest = read_manifest(path, CLASSES)
    assert (manifest.grouped_by, groups(manifest)) == ("slide", ["s1", "s2"])
    manifest = read_manifest(path, CLASSES, ("patient", "field", "slide"))
    assert (manifest.grouped_by, groups(manifest)) == ("field", ["f1", "f1"])
    manifest = read_manifest(path, CLASSES, ("patient",))
    assert (manifest.grouped_by, groups(manifest)) == (EVERY_IMAGE, ["a.jpg", "b.jpg"])


def test_only_selects_a_simulated_site_and_its_own_group_column(tmp_path: Path) -> None:
    path = written(
        tmp_path, "path,label,site,patient\na.jpg,Pre,one,\nb.jpg,Pre,two,p1\nc.jpg,Old,one,\n"
    )
    manifest = read_manifest(path, CLASSES, only={"Site": "two"})
    assert (manifest.grouped_by, groups(manifest)) == ("patient", ["p1"])
    with pytest.raises(DataError, match="no rows that fit"):
        read_manifest(path, CLASSES, only={"site": "three"})
    with pytest.raises(DataError, match="column of the site file's filter"):
        read_manifest(path, CLASSES, only={"ward": "one"})


def test_a_field_in_two_clusters_joins_them(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "path,label,stain_cluster,field\n"
        "a.jpg,Pre,k1,f1\nb.jpg,Pre,k2,f1\nc.jpg,Pre,k2,\nd.jpg,Pre,k3,\n",
        images="a b c d",
    )
    assert groups(read_manifest(path, CLASSES)) == ["k1", "k2", "k2", "k3"]
    assert groups(read_manifest(path, CLASSES, joined_by=["field"])) == ["k1", "k1", "k1", "k3"]


def test_joining_goes_on_through_chains_and_columns() -> None:
    joined = join_groups(
        ["d", "c", "b", "a", "e"], ["1", "1", None, None, None], [None, "1", "1", "2", None]
    )
    assert joined == ["b", "b", "b", "a", "e"]


def test_all_faults_come_at_once_counted_and_listed_at_home(tmp_path: Path) -> None:
    (tmp_path.parent / "outside.jpg").touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path.parent / "outside.jpg")
    path = written(
        tmp_path,
        "path,label\na.jpg,Benign\nb.jpg,Mystery\nmissing.jpg,Pre\n/etc/passwd,Pre\n"
        "C:\\x.jpg,Pre\n../outside.jpg,Pre\nlink.jpg,Pre\na.jpg,Benign\n./c.jpg,Pre\n"
        "c.jpg,Pre\n,Pre\n",
    )
    with pytest.raises(DataError) as caught:
        read_manifest(path, CLASSES)
    error = caught.value
    assert error.problem == (
        "9 of 11 manifest lines are unusable (2 x image listed twice, 1 x image not found, "
        "1 x no path, 4 x path not inside the manifest's folder, 1 x unknown label; labels of "
        "the study: Benign, Early, Pre)"
    )
    assert "labels:\n  Mystery: null  # 1 image; no class is near" in error.local_detail
    assert "line 8: path not inside the manifest's folder: link.jpg" in error.local_detail
    assert "Mystery" not in str(error)
    assert "outside.jpg" not in str(error)


def test_one_file_under_two_spellings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = written(tmp_path, "path,label\na.jpg,Pre\nsub/../a.jpg,Pre\n")
    with pytest.raises(DataError, match="1 of 2"):
        read_manifest(path, CLASSES)


def test_a_link_inside_the_folder_is_fine(tmp_path: Path) -> None:
    path = written(tmp_path, "path,label\nlink.jpg,Pre\n")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    assert len(read_manifest(path, CLASSES).examples) == 1


def test_a_manifest_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    written(tmp_path / "real", "path,label\na.jpg,Pre\n")
    (tmp_path / "way").symlink_to(tmp_path / "real")
    assert len(read_manifest(tmp_path / "way" / "manifest.csv", CLASSES).examples) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "lacks the column label, lacks the column path"),
        ("path;diagnosis\na.jpg;Pre\n", "lacks the column label"),
        ("path,label,Label\na.jpg,Pre,Pre\n", "names a column twice"),
        ("path,label\n", "no rows"),
        ("path,label\na.jpg,Pre,p1\n", "1 x more cells than columns"),
        ('path,label\n"a.jpg,Pre\n', "cannot be read"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_manifest(written(tmp_path, text), CLASSES)


def test_other_encodings_and_absent_files_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "path,label,patient\na.jpg,Pre,Jäger\n", encoding="latin-1")
    for wrong in (path, tmp_path / "absent.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read") as caught:
            read_manifest(wrong, CLASSES)
        assert str(tmp_path) not in str(caught.value)


def test_a_thousand_faults_are_counted_but_not_all_listed(tmp_path: Path) -> None:
    rows = "".join(f"{i}.jpg,Pre\n" for i in range(1000))
    with pytest.raises(DataError, match="1000 of 1000") as caught:
        read_manifest(written(tmp_path, "path,label\n" + rows), CLASSES)
    assert caught.value.local_detail.endswith("and 800 more")


def test_images_may_lie_below_another_root(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    path = written(tmp_path / "lists", "path,label\na.jpg,Pre\n", images="b")
    manifest = read_manifest(path, CLASSES, root=tmp_path / "images")
    assert manifest.examples[0].image == tmp_path / "images" / "a.jpg"
    path.write_text("path,label\n../lists/b.jpg,Pre\n")
    with pytest.raises(DataError, match="not inside"):
        read_manifest(path, CLASSES, root=tmp_path / "images")


def test_a_hospitals_words_stand_for_classes_or_are_left_out(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "path,label,patient\na.jpg,ALL-L1,p1\nb.jpg, pre ,p2\nc.jpg,Unclear,\nno.jpg,unclear,\n",
    )
    words = {"all l1": "Early", "unclear": None}
    manifest = read_manifest(path, CLASSES, words=words)
    assert [example.label for example in manifest.examples] == [1, 2]
    assert manifest.left_out == 2  # one of them a file that does not exist
    assert manifest.grouped_by == "patient"  # filled in every row that is used
    with pytest.raises(DataError, match="all 4 rows of the manifest are left out"):
        read_manifest(path, CLASSES, words=dict.fromkeys(("ALL L1", "Pre", "unclear")))


def test_unknown_words_come_as_the_lines_to_add_to_the_site_file(tmp_path: Path) -> None:
    rows = "a.jpg,pre-B\nb.jpg,hematogone\nc.jpg,?\n"
    path = written(tmp_path, "path,label\n" + rows)
    with pytest.raises(DataError, match=r"3 of 3 .* \(3 x unknown label; labels of") as caught:
        read_manifest(path, CLASSES)
    shown = yaml.safe_load(caught.value.local_detail.partition("\n")[2])
    assert shown == {"labels": {"?": None, "hematogone": "Benign", "pre-B": "Pre"}}
    for word in ("pre-B", "hematogone"):
        assert word not in str(caught.value)
    read = read_manifest(path, CLASSES, words=shown["labels"])
    assert ([example.label for example in read.examples], read.left_out) == ([2, 0], 1)
