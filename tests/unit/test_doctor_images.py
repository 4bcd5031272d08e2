"""Checks of manifests and images: small real folders."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from client.data.manifest import Example
from client.data.scan import scan
from client.data.splits import PARTS
from client.doctor import images
from client.doctor.parts import parts_line
from client.site_config import Cache, Images, SiteConfig
from common.errors import DataError
from common.study.imaging import Crop, Imaging
from tests.support.small import small_study, write_smears

CLASSES = ("Benign", "Early", "Pre", "Pro")
STUDY = small_study()
Row = dict[str, str]


@pytest.fixture(scope="module")
def smears(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_smears(tmp_path_factory.mktemp("smears"), 24, 64)


@pytest.fixture
def rows(tmp_path: Path, smears: Sequence[Example]) -> list[Row]:
    """Two images of each of twelve patients, three patients of every class."""
    found = []
    for number, smear in enumerate(smears):
        shutil.copyfile(smear.image, tmp_path / smear.image.name)
        label = CLASSES[number // 2 % 4]
        found.append({"path": smear.image.name, "label": label, "patient": f"p{number // 2}"})
    return found


def site(folder: Path, rows: Sequence[Row]) -> SiteConfig:
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return SiteConfig(
        name="north", images=Images(manifest=folder / "manifest.csv"), state=folder / "state",
        cache=Cache(folder=folder / "cache"),
    )  # fmt: skip


def test_a_manifest_without_fault(tmp_path: Path, rows: list[Row]) -> None:
    parts = [row | {"split": PARTS[number // 8]} for number, row in enumerate(rows)]
    config = site(tmp_path, parts)
    manifest, labels = images.listed(config)
    assert labels == CLASSES
    scanned = scan(manifest)
    found = images.measured(scanned.examples)
    lines = [
        images.manifest_line(manifest),
        images.labels_line(images.words(config), {}, STUDY),
        images.counts_line(images.fitting(config, STUDY), CLASSES, 5),
        images.duplicates_line(scanned),
        images.groups_line(scanned.examples, labels, manifest.grouped_by),
        parts_line(scanned.examples, STUDY, "north", 1),
        images.readable_line(found),
        images.size_line(found, STUDY),
    ]
    assert {line.verdict for line in lines} == {"ok"}
    texts = [line.text for line in lines]
    assert texts[0].startswith("24 images")
    assert texts[2] == "Benign 6, Early 6, Pre 6, Pro 6"
    assert texts[4] == "12 by patient, of 2 to 2 images"
    assert texts[7] == "64 x 64 to 64 x 64 pixels; study small takes 64 x 64"


def test_an_image_that_is_missing_is_a_fault_of_the_manifest(
    tmp_path: Path, rows: list[Row]
) -> None:
    (tmp_path / rows[3]["path"]).unlink()
    with pytest.raises(DataError, match="1 x image not found"):
        images.listed(site(tmp_path, rows))


def test_labels_that_the_study_does_not_have(tmp_path: Path, rows: list[Row]) -> None:
    rows[0]["label"], rows[1]["label"], rows[2]["label"] = "pre-B", "pre-B", "?"
    config = site(tmp_path, rows)
    line = images.labels_line(images.words(config), {}, STUDY)
    assert (line.verdict, "no class pre-B (2), ? (1); its" in line.text) == ("problem", True)
    assert '`labels: {pre-B: Pre, "?": null}`' in line.fix


def test_the_site_files_words_are_applied(tmp_path: Path, rows: list[Row]) -> None:
    rows[0]["label"], rows[1]["label"], rows[2]["label"] = "pre-B", "PRE B", "unclear"
    config = site(tmp_path, rows).model_copy(update={"labels": {"Pre B": "Pre", "Unclear": None}})
    line = images.labels_line(images.words(config), config.labels, STUDY)
    assert (line.verdict, line.text) == (
        "ok", "all are classes of study small; 1 rows are left out by the site file"
    )  # fmt: skip
    manifest, labels = images.listed(config)
    assert labels == CLASSES
    assert len(manifest.examples) == len(rows) - 1
    assert [e.label for e in images.fitting(config, STUDY).examples[:2]] == [2, 2]


@pytest.mark.parametrize(
    ("kept", "says"),
    [("Benign", "of one class only"), ("Benign Early", "none of Pre, Pro")],
)
def test_classes_that_are_missing(tmp_path: Path, rows: list[Row], kept: str, says: str) -> None:
    config = site(tmp_path, [row for row in rows if row["label"] in kept.split()])
    line = images.counts_line(images.fitting(config, STUDY), CLASSES, 0)
    assert (line.verdict, says in line.text) == ("warning", True)


def test_a_class_below_the_sites_own_limit(tmp_path: Path, rows: list[Row]) -> None:
    config = site(tmp_path, rows[2:])
    line = images.counts_line(images.fitting(config, STUDY), CLASSES, 5)
    assert (line.verdict, "Benign below limits.fewest_examples (5)" in line.text) == (
        "warning", True,
    )  # fmt: skip


def test_copies_and_contradictions(tmp_path: Path, rows: list[Row]) -> None:
    shutil.copyfile(tmp_path / rows[0]["path"], tmp_path / rows[1]["path"])
    line = images.duplicates_line(scan(images.listed(site(tmp_path, rows))[0]))
    assert (line.verdict, line.text) == ("warning", "1 images are copies of others (001.png)")
    shutil.copyfile(tmp_path / rows[0]["path"], tmp_path / rows[2]["path"])
    line = images.duplicates_line(scan(images.listed(site(tmp_path, rows))[0]))
    assert line.text.startswith("3 images are listed under two labels (000.png, 001.png, 002.png)")


def test_a_group_that_holds_most_of_a_class(tmp_path: Path, rows: list[Row]) -> None:
    for row in rows:
        if row["label"] == "Pro":
            row["patient"] = "p3" if row["patient"] != "p11" else "p11"
    manifest, labels = images.listed(site(tmp_path, rows))
    line = images.groups_line(manifest.examples, labels, manifest.grouped_by)
    assert (line.verdict, "Pro: 4 of 6 in p3" in line.text) == ("warning", True)


def test_images_that_nothing_groups(tmp_path: Path, rows: list[Row]) -> None:
    for row in rows:
        row["patient"] = ""
    manifest, labels = images.listed(site(tmp_path, rows))
    line = images.groups_line(manifest.examples, labels, manifest.grouped_by)
    assert (line.verdict, "add a column `patient`" in line.fix) == ("warning", True)


def test_parts_that_cannot_be_filled(tmp_path: Path, rows: list[Row]) -> None:
    config = site(tmp_path, rows[:4])
    line = parts_line(scan(images.fitting(config, STUDY)).examples, STUDY, "north", 1)
    assert (line.verdict, "2 groups are too few" in line.text) == ("problem", True)
    for split, verdict in (("train", "warning"), ("test", "problem")):
        config = site(tmp_path, [row | {"split": split} for row in rows])
        examples = scan(images.fitting(config, STUDY)).examples
        assert parts_line(examples, STUDY, "north", 1).verdict == verdict


def test_a_class_with_too_few_test_images_is_not_scored(tmp_path: Path, rows: list[Row]) -> None:
    examples = scan(images.fitting(site(tmp_path, rows), STUDY)).examples
    line = parts_line(examples, STUDY, "north", 5)
    assert line.verdict == "warning"
    assert "test images of Benign, Pre, Pro are below" in line.text


def test_images_that_cannot_be_read(tmp_path: Path, rows: list[Row]) -> None:
    (tmp_path / rows[5]["path"]).write_bytes(b"not a picture")
    seen: list[tuple[str, int, int]] = []
    manifest, _ = images.listed(site(tmp_path, rows))
    found = images.measured(manifest.examples, lambda *told: seen.append(told))
    line = images.readable_line(found)
    assert (line.verdict, line.text) == ("warning", "1 of 24 cannot be read (005.png)")
    assert seen[-1] == ("images read", 24, 24)
    assert images.readable_line(images.Measured((), found.unreadable)).verdict == "problem"


def test_images_smaller_than_the_study_takes(tmp_path: Path, rows: list[Row]) -> None:
    manifest, _ = images.listed(site(tmp_path, rows))
    found = images.measured(manifest.examples)
    larger = small_study(imaging=Imaging(size=65))
    assert "24 of 24 are smaller than the 65 pixels" in images.size_line(found, larger).text
    cropped = small_study(imaging=Imaging(size=64, crop=Crop(bottom=0.1)))
    assert images.size_line(found, cropped).verdict == "warning"
    assert images.size_line(found, None).verdict == "ok"
