from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from client.data.manifest import read_table
from common.study.data import Split
from simulations.comparing.compare import Protocol
from simulations.comparing.material import Material, read_material
from simulations.comparing.runs import Run
from simulations.division import ByColumn, ByFile, Iid
from simulations.joined import joined_manifest
from simulations.partition_file import partition_csv
from simulations.scenario import ManifestData, ManifestsData, Scenario
from tests.support.small import small_study, write_smears

STUDY = small_study()
SCENARIO = Scenario(
    name="trial", study="none", data=ManifestData(kind="manifest", needs="images"),
    partition=Iid(by="iid", parts=Split(), together=("stain_cluster", "field")),
)  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images in twenty clusters, two of which share a field."""
    folder = tmp_path_factory.mktemp("images")
    lines = ["path,label,stain_cluster,field"]
    for number, example in enumerate(write_smears(folder, 60, size=16)):
        cluster = number % 20
        label = STUDY.labels.classes[cluster % 4]
        lines.append(f"{example.image.name},{label},S{cluster},{'F' if cluster in (0, 4) else ''}")
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def material(manifest: Path, tmp_path: Path) -> Material:
    return read_material(SCENARIO, STUDY, manifest, manifest.parent, tmp_path / "data")


def test_sites_and_groups_stay_whole_in_every_fold(material: Material) -> None:
    assert len(material.rows) == 60
    assert len(set(material.groups)) == 19
    for fold in material.divided(3, seed=1):
        rows = material.parted(fold)
        assert [row["site"] for row in rows] == [row["site"] for row in material.rows]
        for number, part in enumerate((fold.train, fold.validation, fold.test)):
            name = ("train", "validation", "test")[number]
            np.testing.assert_array_equal(
                np.flatnonzero([row["split"] == name for row in rows]), part
            )
        of_group = {(g, r["site"], r["split"]) for g, r in zip(material.groups, rows, strict=True)}
        assert len(of_group) == 19


def test_the_division_among_sites_is_read_again(
    material: Material, manifest: Path, tmp_path: Path
) -> None:
    (kept,) = (tmp_path / "data").iterdir()
    before = kept.stat().st_mtime_ns
    again = read_material(SCENARIO, STUDY, manifest, manifest.parent, tmp_path / "data")
    assert (again.rows, again.groups) == (material.rows, material.groups)
    assert kept.stat().st_mtime_ns == before


def test_a_quick_look_keeps_every_group(material: Material, manifest: Path, tmp_path: Path) -> None:
    fewer = read_material(SCENARIO, STUDY, manifest, manifest.parent, tmp_path / "data", images=25)
    assert len(fewer.rows) == 25
    assert set(fewer.groups) == set(material.groups)


def test_more_sites_hold_the_same_images(
    material: Material, manifest: Path, tmp_path: Path
) -> None:
    study = small_study(sites=("a", "b", "c"))
    other = read_material(SCENARIO, study, manifest, manifest.parent, tmp_path / "data")
    moved = material.at_sites_of(other)
    assert [row["path"] for row in moved.rows] == [row["path"] for row in material.rows]
    assert set(Counter(row["site"] for row in moved.rows)) == {"a", "b", "c"}


def test_a_runs_folder_is_named_after_all_that_its_predictions_rest_on(material: Material) -> None:
    first, second, _ = material.divided(3, seed=1)
    names = {
        Run(STUDY, material, first, "x").name,
        Run(STUDY, material, second, "x").name,
        Run(STUDY.model_copy(update={"seed": 7}), material, first, "x").name,
    }
    assert len(names) == 3
    assert Run(STUDY, material, first, "x").name in names
    assert Run(STUDY, material, first, "x", {"shifts": {"north": {"blur": 1.0}}}).name not in names
    assert Protocol(folds=3).numbers == (1, 2, 3)


def test_a_file_says_which_site_an_image_is_of_and_folds_which_part(
    manifest: Path, tmp_path: Path
) -> None:
    """Another file of the same name is another division."""
    file = tmp_path / "partition.csv"
    scenario = SCENARIO.model_copy(
        update={"partition": ByFile(by="file", file=str(file), together=("stain_cluster", "field"))}
    )
    for names in (("north", "south"), ("south", "north")):
        rows = [{**row, "site": names[int(row["stain_cluster"][1:]) % 4 > 1], "split": "train"}
                for _, row in read_table(manifest, {})]  # fmt: skip
        file.write_bytes(partition_csv(rows))
        found = read_material(scenario, STUDY, manifest, manifest.parent, tmp_path / "data")
        assert [row["site"] for row in found.rows] == [row["site"] for row in rows]
        parts = Counter(row["split"] for row in found.parted(found.divided(3, seed=1)[0]))
        assert min(parts[part] for part in ("train", "validation", "test")) > 0


def test_joined_datasets_are_sites(tmp_path: Path) -> None:
    named = {}
    for name, size in (("north", 16), ("south", 20)):
        examples = write_smears(tmp_path / name, 24, size)
        lines = [f"{e.image.name},{STUDY.labels.classes[e.label]},{i % 12}"
                 for i, e in enumerate(examples)]  # fmt: skip
        (tmp_path / name / "list.csv").write_text("\n".join(["path,label,patient", *lines]))
        named[name] = f"{name}/list.csv"
    scenario = Scenario(
        name="trial", study="none",
        data=ManifestsData(kind="manifests", needs="both", manifests=named),
        partition=ByColumn(by="column", column="dataset", together=("patient",)),
    )  # fmt: skip
    joined = joined_manifest(named, tmp_path, tmp_path / "cache")
    found = read_material(scenario, STUDY, joined, tmp_path, tmp_path / "data")
    assert [row["path"].partition("/")[0] for row in found.rows] == [r["site"] for r in found.rows]
    assert Counter(row["site"] for row in found.rows) == {"north": 24, "south": 24}
    assert len(set(found.groups)) == 24
    assert all((found.root / row["path"]).is_file() for row in found.rows)
