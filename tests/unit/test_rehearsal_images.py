from pathlib import Path

import pytest

from client.data.manifest import read_manifest
from client.rehearsal import examine_generated
from client.site_config import Cache, Images, Limits, SiteConfig, rehearsal_config
from common.digests import digest_file
from common.errors import DataError
from common.study.data import Data, Split
from common.study.imaging import Imaging
from common.study.schema import LabelSet, Study

ODD = ("Benign, maybe", 'a "B" cell', "L3", "übrig", "class; five", "6")
STUDY = Study(
    name="odd", sites=("north", "south"), quorum=1, labels=LabelSet(name="odd", classes=ODD),
    imaging=Imaging(size=40),
    data=Data(group=("slide",), joined_by=("field", "stain_cluster")),
)  # fmt: skip

TWO = STUDY.model_copy(update={"labels": LabelSet(name="two", classes=("a", "b"))})


def config(folder: Path, name: str = "north", fewest: int = 5) -> SiteConfig:
    """Return a site file for rehearsals; its manifest and images do not exist."""
    return rehearsal_config(
        SiteConfig(
            name=name, images=Images(manifest=folder / "none.csv", only={"ward": "A"}),
            state=folder / "state", cache=Cache(folder=folder / "cache"),
            limits=Limits(fewest_examples=fewest),
        )
    )  # fmt: skip


def counts(folder: Path, study: Study = STUDY, fewest: int = 5) -> dict[str, list[int]]:
    parts = examine_generated(config(folder, fewest=fewest), study).parts
    return {
        part: [sum(e.label == label for e in held) for label in range(len(study.labels.classes))]
        for part, held in parts.items()
    }


def test_every_class_of_any_name_has_enough_images_in_every_part(tmp_path: Path) -> None:
    found = examine_generated(config(tmp_path), STUDY)
    assert found.excluded == {}
    assert found.grouped_by == "slide"
    assert counts(tmp_path) == {"train": [8] * 6, "validation": [5] * 6, "test": [5] * 6}
    (manifest,) = (tmp_path / "state").rglob("manifest.csv")
    assert len(read_manifest(manifest, ODD).examples) == 108
    groups = {part: {e.group for e in held} for part, held in found.parts.items()}
    assert len(set().union(*groups.values())) == sum(map(len, groups.values())) == 6 * (4 + 3 + 3)


def test_the_hospitals_fewest_examples_are_told_up_to_a_bound(tmp_path: Path) -> None:
    assert counts(tmp_path, TWO, fewest=900)["test"] == [50, 50]


def test_a_part_that_the_study_leaves_empty_stays_so(tmp_path: Path) -> None:
    study = TWO.model_copy(update={"data": Data(split=Split(validation=0))})
    assert counts(tmp_path, study)["validation"] == [0, 0]


def images(folder: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in sorted(folder.rglob("*.png"))}


def test_they_are_drawn_once_and_the_same_for_the_same_site_and_study(tmp_path: Path) -> None:
    examine_generated(config(tmp_path / "one"), TWO)
    examine_generated(config(tmp_path / "two"), TWO)
    examine_generated(config(tmp_path / "three", name="south"), TWO)
    one, two, three = (images(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert len(set(one.values())) == len(one) == 36
    assert not set(one.values()) & set(three.values())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.png")}
    examine_generated(config(tmp_path / "one"), TWO)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "one").rglob("*.png")} == before


class Interrupted(Exception):  # noqa: N818 - reads as an outcome
    pass


def test_what_was_cut_off_is_drawn_anew(tmp_path: Path) -> None:
    left = iter(range(20))

    def pulse() -> None:
        if next(left, None) is None:
            raise Interrupted

    with pytest.raises(Interrupted):
        examine_generated(config(tmp_path), TWO, pulse)
    examine_generated(config(tmp_path / "whole"), TWO)
    examine_generated(config(tmp_path), TWO)
    found, whole = images(tmp_path / "state"), images(tmp_path / "whole")
    assert found == whole


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    with pytest.raises(DataError, match="the images of a rehearsal cannot be written"):
        examine_generated(config(tmp_path), TWO)
