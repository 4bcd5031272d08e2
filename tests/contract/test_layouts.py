"""What every layout must do, each on a small tree with the dataset's real names."""

import csv
import os
from pathlib import Path

import pytest

from client.cli.manifest import _LAYOUTS
from client.data.layouts.class_folders import CLASS_FOLDERS
from client.data.layouts.layout import Folder, open_folder
from client.data.layouts.table import LAYOUTS, PUBLIC, chosen_layout
from client.data.listing import Listing, listing
from client.data.manifest import read_manifest
from common.errors import DataError
from tests.support.layouts import TREES, Tree

SHARED = Path(os.environ.get("LEUKOFED_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(params=TREES, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tree(name: str) -> Tree:
    return TREES[name]


@pytest.fixture(scope="module")
def folder(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return open_folder(tree.build(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def listed(folder: Folder, tree: Tree) -> Listing:
    layout = chosen_layout(folder, tree.layout)
    return listing(folder, layout.rows(folder), layout.name)


def table(listed: Listing) -> dict[str, dict[str, str]]:
    rows = list(csv.DictReader(listed.text.splitlines()))
    found = {row["path"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_it_is_recognised_by_itself_alone(folder: Folder, tree: Tree) -> None:
    found = [layout.name for layout in PUBLIC if layout.recognises(folder)]
    assert found == ([tree.layout] if tree.layout != CLASS_FOLDERS.name else [])
    assert chosen_layout(folder, "auto").name == tree.layout


def test_every_image_is_listed_once_with_its_label(listed: Listing, tree: Tree) -> None:
    assert {path: row["label"] for path, row in table(listed).items()} == tree.images
    assert {path.as_posix() for path in listed.images_left_out} == set(tree.left_out)
    assert sum(listed.labels.values()) == len(tree.images)


def test_its_labels_are_those_of_the_dataset(listed: Listing, tree: Tree) -> None:
    layout = next(one for one in LAYOUTS if one.name == tree.layout)
    assert set(listed.labels) <= set(layout.classes or listed.labels)


def test_patients_are_told_where_they_are_known(listed: Listing, tree: Tree) -> None:
    found = {path: row.get("patient", "") for path, row in table(listed).items()}
    assert found == {path: tree.patients.get(path, "") for path in tree.images}


def test_dotfiles_and_links_to_folders_are_passed_over(folder: Folder, listed: Listing) -> None:
    assert any(file.name.startswith(".") for file in folder.path.rglob("*"))
    assert not any(part.startswith(".") for path in table(listed) for part in Path(path).parts)
    elsewhere = folder.path.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    link = folder.path / "link"
    link.symlink_to(elsewhere)
    try:
        assert open_folder(folder.path).files == folder.files
    finally:
        link.unlink()


def test_what_is_written_is_a_manifest(
    folder: Folder, listed: Listing, tree: Tree, tmp_path: Path
) -> None:
    (tmp_path / "manifest.csv").write_text(listed.text, encoding="utf-8")
    read = read_manifest(
        tmp_path / "manifest.csv", tuple(listed.labels), root=folder.path
    )  # fmt: skip
    assert {e.image.relative_to(folder.path).as_posix() for e in read.examples} == set(tree.images)


def tops(tree: Tree) -> set[str]:
    return {path.split("/")[0] for path in [*tree.images, *tree.left_out, *tree.others]}


@pytest.mark.parametrize("tree", [tree for tree in TREES.values() if len(tops(tree)) == 1])
def test_the_folder_that_an_archive_packs_is_recognised_too(tree: Tree, tmp_path: Path) -> None:
    inside = open_folder(tree.build(tmp_path) / tops(tree).pop())
    layout = chosen_layout(inside, "auto")
    found = listing(inside, layout.rows(inside), layout.name)
    assert (layout.name, sum(found.labels.values())) == (tree.layout, len(tree.images))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_an_empty_folder_is_nobodys(tmp_path: Path, layout: object) -> None:
    folder = open_folder(tmp_path)
    one = next(each for each in LAYOUTS if each is layout)
    assert not one.recognises(folder)
    with pytest.raises(DataError):
        listing(folder, one.rows(folder), one.name)


def test_the_command_offers_every_layout() -> None:
    assert ("auto", *(layout.name for layout in LAYOUTS)) == _LAYOUTS


@pytest.mark.real
@pytest.mark.parametrize(
    ("place", "layout", "labels"),
    [
        ("taleqani-dev", "taleqani", {"Benign": 395, "Early": 771, "Pre": 755, "Pro": 601}),
        ("taleqani-dev/Original", "taleqani",
         {"Benign": 395, "Early": 771, "Pre": 755, "Pro": 601}),
        ("pbc-normal", "pbc", dict.fromkeys(
            ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte",
             "neutrophil", "platelet"), 100)),
    ],
)  # fmt: skip
def test_the_real_folders_are_listed_as_their_own_manifests(
    place: str, layout: str, labels: dict[str, int]
) -> None:
    top = SHARED / place
    if not top.is_dir():
        pytest.skip("the real images are not on this machine")
    folder = open_folder(top)
    found = chosen_layout(folder, "auto")
    made = listing(folder, found.rows(folder), found.name)
    assert (found.name, dict(made.labels)) == (layout, labels)
    own = top / "manifest.csv"
    if own.is_file():
        with own.open(newline="", encoding="utf-8") as file:
            theirs = {row["path"]: row["label"] for row in csv.DictReader(file)}
        assert {path: row["label"] for path, row in table(made).items()} == theirs
