"""A trial site's images: generated ones, or a few of its own."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from client.data.manifest import read_table
from client.holdings import examine
from client.site_config import Cache, Images, Numerics, SiteConfig
from client.trial import generated_images, own_images, trial_config
from common.errors import DataError
from common.study.imaging import Imaging
from common.study.schema import LabelSet
from tests.support.small import small_study, write_smears

CLASSES = ("Benign", "Early", "Pre", "Pro")


def site(folder: Path, images: Images, **settings: object) -> SiteConfig:
    return SiteConfig.model_validate(
        {
            "name": "north", "images": images, "state": folder / "state",
            "cache": Cache(folder=folder / "cache"), **settings,
        }
    )  # fmt: skip


def test_generated_images_are_of_every_class_in_every_part(tmp_path: Path) -> None:
    labels = LabelSet(name="five", classes=("a", "b", "c", "d", "e"))
    study = small_study(labels=labels, imaging=Imaging(size=32))
    images = generated_images(tmp_path / "images", study, 30)
    held = examine(site(tmp_path, images), study)
    assert {part: len(found) for part, found in held.parts.items()} == {
        "train": 20, "validation": 5, "test": 5,
    }  # fmt: skip
    for found in held.parts.values():
        assert {example.label for example in found} == set(range(5))
    assert held.excluded == {}


def own_site(folder: Path, rows: int, split: bool, **images: object) -> SiteConfig:
    """Write two images of each patient; nine in ten are benign, and come first."""
    examples = write_smears(folder / "images", rows, 32)
    with (folder / "images" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "patient", "ward", *["split"] * split))
        for number, example in enumerate(examples):
            label = CLASSES[0] if number < 0.9 * rows else CLASSES[number % 3 + 1]
            part = ("train", "validation", "test")[number // 2 % 3]
            ward = "AB"[number % 2]
            writer.writerow((example.image.name, label, number // 2, ward, *[part] * split))
    manifest = folder / "images" / "manifest.csv"
    return site(folder, Images.model_validate({"manifest": manifest, **images}))


@pytest.mark.parametrize("split", [False, True])
def test_a_few_own_images_are_of_many_classes_parts_and_groups(tmp_path: Path, split: bool) -> None:
    config = own_site(tmp_path, 60, split)
    images = own_images(config, tmp_path / "trial", 16)
    rows = [row for _, row in read_table(images.manifest, {})]
    assert len(rows) == 16
    assert set(Counter(row["label"] for row in rows)) == set(CLASSES)
    benign = [row["patient"] for row in rows if row["label"] == "Benign"]
    assert len(set(benign)) == len(benign), "of each group one before a second"
    if split:
        assert set(Counter(row["split"] for row in rows)) == {"train", "validation", "test"}
    held = examine(trial_config(config, tmp_path / "trial", images), small_study())
    used = [example for found in held.parts.values() for example in found]
    assert {example.image.parent for example in used} == {tmp_path / "images"}
    assert not (tmp_path / "cache").exists()


def test_the_site_files_filter_holds_for_own_images_too(tmp_path: Path) -> None:
    config = own_site(tmp_path, 24, False, only={"ward": "A"})
    images = own_images(config, tmp_path / "trial", 100)
    wards = [row["ward"] for _, row in read_table(images.manifest, {})]
    assert wards == ["A"] * 12


def test_own_images_without_a_manifest(tmp_path: Path) -> None:
    config = site(tmp_path, Images(manifest=tmp_path / "absent.csv"))
    with pytest.raises(DataError, match="manifest cannot be read"):
        own_images(config, tmp_path / "trial", 3)
    assert not (tmp_path / "trial").exists()


def test_a_trial_leaves_state_and_cache_alone_and_keeps_the_limits(tmp_path: Path) -> None:
    config = site(tmp_path, Images(manifest=tmp_path / "m.csv"))
    images = Images(manifest=tmp_path / "trial.csv")
    own = trial_config(config, tmp_path / "trial", images)
    assert own.limits == config.limits
    assert (own.state, own.cache.folder) == (tmp_path / "trial/state", tmp_path / "trial/cache")
    assert own.numerics == "auto"
    config.state.mkdir()
    measured = Numerics(threads=3)
    (config.state / "numerics.json").write_text(measured.model_dump_json(), encoding="utf-8")
    assert trial_config(config, tmp_path / "trial", images).numerics == measured


def test_own_images_have_the_words_of_the_site_file_applied(tmp_path: Path) -> None:
    config = own_site(tmp_path, 24, False)
    config = config.model_copy(update={"labels": {"benign": None, "EARLY": "Pro"}})
    images = own_images(config, tmp_path / "trial", 100)
    rows = [row for _, row in read_table(images.manifest, {})]
    assert {row["label"] for row in rows} == {"Pre", "Pro"}
    assert trial_config(config, tmp_path / "trial", images).labels == {}
