"""What single layouts refuse, and what they tell beyond labels."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from client.data.cuttings import find_sources
from client.data.layouts.all_idb import ALL_IDB, read_centroids
from client.data.layouts.class_folders import CLASS_FOLDERS, folder_rows
from client.data.layouts.cnmc import CNMC, patient_of
from client.data.layouts.layout import Layout, Row, open_folder, unwatched
from client.data.layouts.table import chosen_layout
from client.data.layouts.taleqani import TALEQANI
from client.data.listing import Listing, listing
from common.errors import DataError
from common.imaging.synthetic import PROFILES, draw_patient, site_style, smear_field
from common.seeds import stream
from tests.support.layouts import TREES, write_image


def tree(folder: Path, *files: str) -> Path:
    for number, name in enumerate(files):
        write_image(folder / name, number)
    return folder


def rows(folder: Path, layout: Layout) -> list[Row]:
    return list(layout.rows(open_folder(folder)))


def listed(folder: Path, layout: Layout = CLASS_FOLDERS, above: Path | None = None) -> Listing:
    return listing(open_folder(folder), rows(folder, layout), layout.name, above)


def lines(found: Listing) -> list[str]:
    return found.text.splitlines()


# Taleqani


def test_the_segmented_folder_is_refused_with_the_reason(tmp_path: Path) -> None:
    TREES["taleqani"].build(tmp_path)
    for name in ("Segmented", "SEGMENTED"):
        (tmp_path / "Segmented").rename(tmp_path / name)
        folder = open_folder(tmp_path / name)
        with pytest.raises(DataError, match="masks give the class away") as caught:
            list(chosen_layout(folder, "auto").rows(folder))
        assert str(tmp_path) not in str(caught.value)
        (tmp_path / name).rename(tmp_path / "Segmented")


def test_blackened_images_are_refused_under_any_name(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / "mine" / "Pro" / f"WBC-Malignant-Pro-{number:03}.jpg"
        write_image(path, number)
        image = cv2.imread(str(path))
        assert image is not None
        image[:20] = 0
        cv2.imwrite(str(path), image)
    with pytest.raises(DataError, match="segmented copies"):
        rows(tmp_path / "mine", TALEQANI)


def test_a_taleqani_image_in_another_class_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "Pre/WBC-Malignant-Pre-001.jpg", "Pre/WBC-Malignant-Pro-002.jpg")
    with pytest.raises(DataError, match="1 of 2 images lie in another class's folder") as caught:
        rows(tmp_path, TALEQANI)
    assert caught.value.local_detail == "Pre/WBC-Malignant-Pro-002.jpg"


def test_two_datasets_in_one_folder_are_refused(tmp_path: Path) -> None:
    for name in ("taleqani", "c-nmc"):
        TREES[name].build(tmp_path / name)
    with pytest.raises(DataError, match="more than one dataset: taleqani, c-nmc"):
        chosen_layout(open_folder(tmp_path), "auto")


# C-NMC


def test_subjects_that_share_images_are_one_patient() -> None:
    assert {patient_of(subject) for subject in ("51", "75", "78")} == {"51+75+78"}
    assert {patient_of(subject) for subject in ("h2", "H4", "H5", "h6")} == {"H2+H4+H5+H6"}
    assert {patient_of(subject) for subject in ("2", "H20", "h1")} == {"2", "H20", "H1"}


def test_the_preliminary_set_alone(tmp_path: Path) -> None:
    tree(tmp_path, "1.bmp", "2.bmp")
    (tmp_path / "labels.csv").write_text(
        "\ufeffPatient_ID , new_names,labels\n"
        "UID_7_1_2_all.bmp,1.bmp,1\nUID_h7_1_2_hem.bmp,2.BMP,0\n"
    )
    found = {row.path.name: (row.label, row.columns["patient"]) for row in rows(tmp_path, CNMC)}
    assert found == {"1.bmp": ("ALL", "7"), "2.bmp": ("normal", "H7")}


@pytest.mark.parametrize(
    "line", ["UID_7_1_2_all.bmp,3.bmp,1", "x,2.bmp,1", "UID_7_1_2_all.bmp,2.bmp,2"]
)
def test_a_preliminary_set_that_is_not_whole_is_refused(tmp_path: Path, line: str) -> None:
    tree(tmp_path, "1.bmp", "2.bmp")
    (tmp_path / "labels.csv").write_text(
        f"Patient_ID,new_names,labels\nUID_7_1_2_all.bmp,1.bmp,1\n{line}\n"
    )
    with pytest.raises(DataError, match="1 of 2 lines of the preliminary"):
        rows(tmp_path, CNMC)


def test_a_cell_in_the_other_class_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "fold_0/all/UID_1_1_1_hem.bmp", "fold_0/all/UID_1_1_2_all.bmp")
    with pytest.raises(DataError, match="1 images lie in another class's folder"):
        rows(tmp_path, CNMC)


# ALL-IDB


def test_the_centroids_of_blasts_are_a_column(tmp_path: Path) -> None:
    TREES["all-idb1"].build(tmp_path)
    found = {row.path.name: row.columns["centroids"] for row in rows(tmp_path, ALL_IDB)}
    assert found == {"Im001_1.jpg": "12 30;3 4", "Im034_0.JPG": ""}
    assert read_centroids(tmp_path / "ALL_IDB1/xyc/Im001_1.xyc") == [(12, 30), (3, 4)]
    (tmp_path / "ALL_IDB1/xyc/Im001_1.xyc").write_text("12 thirty\n")
    with pytest.raises(DataError, match="centroids"):
        rows(tmp_path, ALL_IDB)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs, four cells cut from them, and one cell from elsewhere."""
    folder = tmp_path_factory.mktemp("ALL-IDB")
    fields = []
    for number in range(3):
        generator = stream(number, "synthetic", "cuttings")
        patient = draw_patient(generator, PROFILES[number])
        fields.append(smear_field(generator, patient, site_style(generator), 256))
    for place in ("ALL_IDB1/im", "ALL_IDB2/img"):
        (folder / place).mkdir(parents=True)
    for number, image in enumerate(fields[:2], start=1):
        cv2.imwrite(str(folder / f"ALL_IDB1/im/Im00{number}_1.jpg"), image[..., ::-1])
    cut = {"Im001_1": (0, 13, 21), "Im002_1": (1, 100, 150), "Im003_0": (0, 180, 190),
           "Im004_0": (1, 0, 0), "Im005_0": (2, 40, 40)}  # fmt: skip
    for name, (field, row, column) in cut.items():
        cell = fields[field][row : row + 65, column : column + 65, ::-1]
        cv2.imwrite(str(folder / f"ALL_IDB2/img/{name}.tif"), cell)
    return folder


def test_a_cell_and_its_photograph_share_a_field(photographs: Path) -> None:
    found = listed(photographs, ALL_IDB)
    fields = {row["path"]: row["field"] for row in csv.DictReader(lines(found))}
    assert fields == {
        "ALL_IDB1/im/Im001_1.jpg": "Im001_1", "ALL_IDB1/im/Im002_1.jpg": "Im002_1",
        "ALL_IDB2/img/Im001_1.tif": "Im001_1", "ALL_IDB2/img/Im002_1.tif": "Im002_1",
        "ALL_IDB2/img/Im003_0.tif": "Im001_1", "ALL_IDB2/img/Im004_0.tif": "Im002_1",
    }  # fmt: skip
    assert [image.name for image in found.images_left_out] == ["Im005_0.tif"]  # found in none


def test_what_cannot_be_decoded_is_found_in_nothing(photographs: Path, tmp_path: Path) -> None:
    cell = photographs / "ALL_IDB2/img/Im001_1.tif"
    for name in ("broken.jpg", "broken.tif"):
        (tmp_path / name).write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((9, 9, 3), np.uint8))
    searched = {"broken": tmp_path / "broken.jpg", "small": tmp_path / "small.png",
                "a": photographs / "ALL_IDB1/im/Im001_1.jpg"}  # fmt: skip
    found = find_sources(searched, [cell, tmp_path / "broken.tif"], unwatched)
    assert found == {cell: "a", tmp_path / "broken.tif": None}


# Class folders


def test_folder_names_are_labels(tmp_path: Path) -> None:
    tree(
        tmp_path, "Pre B/b.JPG", "Pre B/deep/er/a.tif", "Benign/x.png", "Benign/._x.png",
        ".cache/y.png", "Benign/z, \"q\".bmp",
    )  # fmt: skip
    (tmp_path / "Benign/notes.txt").touch()
    (tmp_path / "README.md").touch()
    found = listed(tmp_path)
    assert lines(found) == [
        "path,label",
        "Benign/x.png,Benign",
        '"Benign/z, ""q"".bmp",Benign',
        "Pre B/b.JPG,Pre B",
        "Pre B/deep/er/a.tif,Pre B",
    ]
    assert found.labels == {"Benign": 2, "Pre B": 2}
    assert found.others == 2


def test_a_packing_folder_is_entered(tmp_path: Path) -> None:
    tree(tmp_path, "Original/Benign/1.jpg", "Original/Pre/2.jpg")
    (tmp_path / "manifest.csv").touch()
    assert lines(listed(tmp_path)) == [
        "path,label", "Original/Benign/1.jpg,Benign", "Original/Pre/2.jpg,Pre"
    ]  # fmt: skip


def test_one_class_alone_is_a_class(tmp_path: Path) -> None:
    assert listed(tree(tmp_path, "Benign/1.jpg")).labels == {"Benign": 1}


def test_folders_inside_a_class_may_be_patients(tmp_path: Path) -> None:
    folder = open_folder(tree(tmp_path, "Benign/p1/1.jpg", "Benign/p2/day 2/1.jpg"))
    found = listing(folder, folder_rows(folder, "patient"), "class-folders")
    assert lines(found) == [
        "path,label,patient",
        "Benign/p1/1.jpg,Benign,p1",
        "Benign/p2/day 2/1.jpg,Benign,p2/day 2",
    ]


@pytest.mark.parametrize("files", [(), ("1.jpg", "x/2.jpg")])
def test_no_class_folders_or_loose_images_are_refused(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    with pytest.raises(DataError, match="images beside them") as caught:
        listed(tree(tmp_path, *files))
    assert str(tmp_path) not in str(caught.value)


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_folder(tmp_path / "absent")


def test_a_manifest_beside_its_images_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "images/x/1.png", "images/y/1.png")
    (tmp_path / "reports").mkdir()
    with pytest.raises(DataError, match="not lie above"):
        listed(tmp_path / "images", above=tmp_path / "reports")
    assert lines(listed(tmp_path / "images", above=tmp_path))[1] == "images/x/1.png,x"
