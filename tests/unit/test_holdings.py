import csv
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from client.data.manifest import Example
from client.holdings import LEFT_OUT, Holdings, examine
from client.site_config import Cache, Images, SiteConfig
from common.errors import DataError
from common.study.data import Data, Split
from common.study.schema import LabelSet
from tests.support.small import small_study, write_smears

CLASSES = ("Benign", "Early", "Pre", "Pro")
STUDY = small_study(data=Data(split=Split(validation=0.2, test=0.2)))
Row = dict[str, str]


@pytest.fixture(scope="module")
def smears(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_smears(tmp_path_factory.mktemp("smears"), 24, 32)


@pytest.fixture
def rows(tmp_path: Path, smears: Sequence[Example]) -> list[Row]:
    """Two images of each of twelve patients, three patients per class, two wards."""
    found = []
    for number, example in enumerate(smears):
        shutil.copy(example.image, tmp_path / example.image.name)
        patient = number // 2
        found.append({
            "path": example.image.name, "label": CLASSES[patient % 4],
            "patient": f"p{patient}", "ward": "AB"[patient // 6],
        })  # fmt: skip
    return found


def config(folder: Path, rows: Sequence[Mapping[str, str]], **only: str) -> SiteConfig:
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return SiteConfig(
        name="north",
        images=Images(manifest=folder / "manifest.csv", only=only),
        state=folder / "state",
        cache=Cache(folder=folder / "cache"),
    )


def names(held: Holdings) -> list[str]:
    return sorted(e.image.name for part in held.parts.values() for e in part)


def test_every_sound_image_is_in_one_part_with_its_patient(tmp_path: Path, rows: list[Row]) -> None:
    held = examine(config(tmp_path, rows), STUDY)
    assert names(held) == sorted(row["path"] for row in rows)
    assert held.excluded == {}
    assert held.grouped_by == "patient"
    assert set(held.parts) == {"train", "validation", "test"}
    patients = {part: {e.group for e in members} for part, members in held.parts.items()}
    assert sum(len(found) for found in patients.values()) == 12  # none is in two parts
    labels = {row["path"]: CLASSES.index(row["label"]) for row in rows}
    for members in held.parts.values():
        assert members
        assert all(e.label == labels[e.image.name] for e in members)


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path, rows: list[Row]) -> None:
    shutil.copy(tmp_path / "000.png", tmp_path / "copy-a.png")  # of p0, Benign
    shutil.copy(tmp_path / "003.png", tmp_path / "copy-b.png")  # of p1, Early
    (tmp_path / "004.png").write_bytes((tmp_path / "004.png").read_bytes()[:200])
    (tmp_path / "005.png").write_bytes(b"no image")
    rows += [
        {"path": "copy-a.png", "label": "Benign", "patient": "p0", "ward": "A"},
        {"path": "copy-b.png", "label": "Pro", "patient": "p99", "ward": "B"},
    ]
    held = examine(config(tmp_path, rows), STUDY)
    assert held.excluded == {
        "exact duplicate": 1,
        "duplicate with another label": 2,
        "cannot be decoded": 2,
    }
    gone = {"copy-a.png", "copy-b.png", "003.png", "004.png", "005.png"}
    assert names(held) == sorted({row["path"] for row in rows} - gone)
    again = examine(config(tmp_path, rows), STUDY)  # from the verdicts that were remembered
    assert (again.parts, again.excluded) == (held.parts, held.excluded)


def test_the_site_files_filter_is_followed(tmp_path: Path, rows: list[Row]) -> None:
    held = examine(config(tmp_path, rows, ward="B"), STUDY)
    assert names(held) == sorted(row["path"] for row in rows if row["ward"] == "B")


def test_parts_that_the_manifest_states_are_kept(tmp_path: Path, rows: list[Row]) -> None:
    stated = [row | {"split": ("train", "test")[int(row["patient"][1:]) % 2]} for row in rows]
    held = examine(config(tmp_path, stated), STUDY)
    found = {part: sorted(e.image.name for e in members) for part, members in held.parts.items()}
    expected = {
        part: sorted(row["path"] for row in stated if row["split"] == part)
        for part in ("train", "validation", "test")
    }
    assert found == expected


def test_the_study_says_what_groups_and_what_joins(tmp_path: Path, rows: list[Row]) -> None:
    slides = [row | {"slide": f"s{number // 4}"} for number, row in enumerate(rows)]
    study = small_study(data=Data(group=("slide",)))
    held = examine(config(tmp_path, slides), study)
    assert held.grouped_by == "slide"
    sizes = Counter(e.group for part in held.parts.values() for e in part)
    assert sorted(sizes.values()) == [4] * 6
    joined = small_study(data=Data(group=("patient",), joined_by=("slide",)))
    sizes = Counter(
        e.group for part in examine(config(tmp_path, slides), joined).parts.values() for e in part
    )
    assert sorted(sizes.values()) == [4] * 6


def test_seed_and_site_name_decide_the_draw(tmp_path: Path, rows: list[Row]) -> None:
    site = config(tmp_path, rows)

    def test_part(site: SiteConfig, seed: int) -> set[str]:
        study = STUDY.model_copy(update={"seed": seed})
        return {e.image.name for e in examine(site, study).parts["test"]}

    assert test_part(site, 1) == test_part(site, 1)
    draws = {frozenset(test_part(site, seed)) for seed in range(1, 6)}
    draws |= {frozenset(test_part(site.model_copy(update={"name": "south"}), 1))}
    assert len(draws) > 2


def test_a_manifest_against_the_contract_is_refused(tmp_path: Path, rows: list[Row]) -> None:
    rows[3]["label"] = "Late"
    with pytest.raises(DataError, match="1 x unknown label") as caught:
        examine(config(tmp_path, rows), STUDY)
    assert "Late" not in str(caught.value)


def test_the_hospitals_words_are_applied_and_what_they_leave_out_is_counted(
    tmp_path: Path, rows: list[Row]
) -> None:
    words = {"Benign": "Reaktiv", "Early": "ALL L1", "Pre": "pre", "Pro": "unklar"}
    spoken = [{**row, "label": words[row["label"]]} for row in rows]
    own = {"reaktiv": "Benign", "ALL-L1": "Early", "Unklar": None}
    held = examine(config(tmp_path, spoken).model_copy(update={"labels": own}), STUDY)
    assert held.excluded == {LEFT_OUT: 6}
    assert names(held) == sorted(row["path"] for row in rows if row["label"] != "Pro")
    labels = {row["path"]: CLASSES.index(row["label"]) for row in rows}
    assert all(e.label == labels[e.image.name] for part in held.parts.values() for e in part)


def test_a_study_of_fewer_classes_collapses_labels(tmp_path: Path, rows: list[Row]) -> None:
    labels = LabelSet(
        name="binary", classes=("normal", "ALL"),
        collapse={"Benign": "normal", "Early": "ALL", "Pre": "ALL", "Pro": "ALL"},
    )  # fmt: skip
    held = examine(config(tmp_path, rows), STUDY.model_copy(update={"labels": labels}))
    counts = Counter(e.label for part in held.parts.values() for e in part)
    assert counts == {0: 6, 1: 18}
