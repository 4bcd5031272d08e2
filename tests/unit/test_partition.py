import csv
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from client.data.manifest import read_manifest, read_table
from common.errors import DataError
from common.labels import Vocabulary
from common.seeds import stream
from common.study.data import Split
from simulations.balance import Deal, balance
from simulations.division import BalancedGroups, ByColumn, Iid, Partition
from simulations.partition import assign, partition, write_partition
from simulations.partition_file import Row
from simulations.scenario import load_scenario

SITES = ("north", "south")
PARTS = Split(validation=0.2, test=0.25)
BALANCED = BalancedGroups(by="balanced-groups", parts=PARTS)
IID = Iid(by="iid", parts=PARTS)
SHARED = Path(__file__).parents[3] / "shared" / "data"
TALEQANI = Path(os.environ.get("LEUKOFED_DATA", SHARED)) / "taleqani-dev" / "manifest.csv"


def dataset(groups: int = 24, classes: int = 2, column: str = "patient") -> list[Row]:
    """Groups of one class each, of one to four images."""
    return [
        {
            "path": f"{g:02d}-{i}.png",
            "label": "abc"[g % classes],
            "stain_cluster": "",
            "note": f"{g}/{i}",
        }
        | {column: f"p{g}"}
        for g in range(groups)
        for i in range(1 + g // classes % 4)
    ]


def put(rows: Sequence[Row], settings: Partition, seed: int = 1) -> list[Row]:
    return assign(rows, settings, seed, SITES, [None] * len(rows))


def cells(rows: Sequence[Row], column: str) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        found[row[column]].add((row["site"], row["split"]))
    return found


@pytest.mark.parametrize("settings", [BALANCED, IID], ids=lambda s: s.by)
def test_rows_keep_their_order_and_columns(settings: Partition) -> None:
    rows = dataset()
    divided = put(rows, settings)
    assert [list(row) for row in divided] == [[*rows[0], "site", "split"]] * len(rows)
    assert [{k: row[k] for k in rows[0]} for row in divided] == rows
    assert {row["site"] for row in divided} == set(SITES)
    assert {row["split"] for row in divided} == {"train", "validation", "test"}


@pytest.mark.parametrize("settings", [BALANCED, IID], ids=lambda s: s.by)
def test_another_seed_divides_otherwise(settings: Partition) -> None:
    rows = dataset()
    assert put(rows, settings, 1) == put(rows, settings, 1) != put(rows, settings, 2)


def test_groups_that_share_a_field_stay_together() -> None:
    rows = dataset(column="stain_cluster")
    for number, row in enumerate(rows):
        row["field"] = f"f{number}"
    rows[-1]["field"] = rows[0]["field"]
    for seed in range(5):
        divided = put(rows, BALANCED, seed)
        places = cells(divided, "stain_cluster")
        assert all(len(found) == 1 for found in places.values())
        assert places[rows[0]["stain_cluster"]] == places[rows[-1]["stain_cluster"]]
    apart = BALANCED.model_copy(update={"together": ("stain_cluster",)})
    assert any(
        len(cells(put(rows, apart, seed), "field")[rows[0]["field"]]) > 1 for seed in range(5)
    )


def test_balanced_groups_come_near_their_shares() -> None:
    rows = dataset(groups=80)
    divided = put(rows, BALANCED)
    total = Counter(row["label"] for row in rows)
    got = Counter((row["site"], row["split"], row["label"]) for row in divided)
    for label, (part, share) in itertools.product(
        "ab", (("train", 0.55), ("validation", 0.2), ("test", 0.25))
    ):
        for site in SITES:
            assert abs(got[site, part, label] - share * total[label] / 2) <= 2


def test_the_balance_is_nearly_the_best_there_is() -> None:
    counts = np.array([[9, 0], [0, 8], [7, 0], [0, 6], [3, 0], [0, 3], [2, 1]])
    shares = np.array([0.5, 0.0, 0.5])
    every = []
    for choice in itertools.product((0, 2, 3, 5), repeat=len(counts)):
        deal = Deal(counts, 2, shares)
        for group, cell in enumerate(choice):
            deal.put(group, cell)
        every.append(deal.unfitness())
    every.sort()
    found = [balance(counts, 2, shares, stream(seed, "test"))[1] for seed in range(4)]
    assert min(found) == every[0]
    assert max(found) <= every[len(every) // 1000]


def test_unfitness_by_hand() -> None:
    """Ten images of one class, one site, half for training, half for test."""
    deal = Deal(np.array([[7], [3]]), 1, np.array([0.5, 0.0, 0.5]))
    deal.put(0, 0)
    deal.put(1, 0)
    assert deal.unfitness() == (0, 2, 2 * (25 / 5 + 25 / 5))
    deal.put(0, 2)
    lacking, later, misfit = deal.unfitness()
    assert (lacking, later) == (0, 1)
    assert misfit == pytest.approx(2 * (4 / 5 + 4 / 5))
    deal.put(1, 2)
    assert deal.unfitness() == (1, 0, 2 * (25 / 5 + 25 / 5))


def test_training_groups_come_first_then_two_for_the_test() -> None:
    """A class in four groups, of which one holds nearly all images."""
    rows = [
        {"path": f"{g}-{i}.png", "label": label, "patient": f"{label}{g}"}
        for label, sizes in (("a", (40, 1, 1, 1, 1)), ("b", (9,) * 12))
        for g, size in enumerate(sizes)
        for i in range(size)
    ]
    for row in rows:
        row["path"] = row["label"] + row["path"]
    for seed in range(4):
        divided = [row for row in put(rows, BALANCED, seed) if row["label"] == "a"]
        assert {row["site"] for row in divided if row["split"] == "train"} == set(SITES)
        held_back = {part: {r["patient"] for r in divided if r["split"] == part}
                     for part in ("validation", "test")}  # fmt: skip
        assert len(held_back["test"]) == 2
        assert len(held_back["validation"]) == 1


def test_too_few_groups_to_train_every_class_everywhere() -> None:
    rows = [row for row in dataset() if row["label"] == "a" or row["patient"] == "p1"]
    with pytest.raises(DataError, match="13 groups are too few: 1 of 4 pairs of site and class"):
        put(rows, BALANCED)


def test_iid_sites_have_nearly_equally_many_images() -> None:
    rows = dataset(groups=60)
    sizes = Counter(row["site"] for row in put(rows, IID))
    assert abs(sizes["north"] - sizes["south"]) <= 4


def test_iid_with_one_group_is_refused() -> None:
    with pytest.raises(DataError, match="1 groups are too few"):
        put(dataset(groups=1), IID)


def by_column(**changes: str) -> list[Row]:
    rows = dataset()
    for row in rows:
        row["ward"] = SITES[int(row["patient"][1:]) // 2 % 2]
    rows[0].update(changes)
    return rows


def test_a_column_names_the_sites_and_each_splits_its_own() -> None:
    rows = by_column()
    divided = put(rows, ByColumn(by="column", column="ward", parts=PARTS))
    assert [row["site"] for row in divided] == [row["ward"] for row in rows]
    assert all(len(found) == 1 for found in cells(divided, "patient").values())
    for site in SITES:
        assert len({row["split"] for row in divided if row["site"] == site}) == 3


def test_a_split_column_is_taken_as_it_is() -> None:
    rows = by_column()
    for row in rows:
        row["split"] = ("train", "Val", "test")[int(row["patient"][1:]) % 3]
    divided = put(rows, ByColumn(by="column", column="ward"))
    expected = {"train": "train", "Val": "validation", "test": "test"}
    assert [row["split"] for row in divided] == [expected[row["split"]] for row in rows]
    redrawn = put(rows, IID)
    assert [row["split"] for row in redrawn] != [row["split"] for row in divided]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ward": "moon"}, "ward names none of the study's sites in 1 of 60 rows"),
        ({"ward": ""}, "none of the study's sites in 1 of 60 rows"),
        ({"patient": "p2"}, "1 of 23 groups lie at more than one site"),
    ],
)
def test_a_column_that_does_not_divide_groups(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        put(by_column(**changes), ByColumn(by="column", column="ward"))


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="in 60 of 60 rows, and never north, south"):
        put(dataset(), ByColumn(by="column"))


def test_copies_of_an_image_stay_together(tmp_path: Path) -> None:
    rows = dataset(groups=40)
    for number, row in enumerate(rows):
        twin = row["patient"] in ("p0", "p2")
        (tmp_path / row["path"]).write_bytes(b"twin" if twin else bytes([number]))
    manifest = tmp_path / "manifest.csv"
    write_partition(rows, manifest)
    for seed in range(6):
        places = cells(partition(manifest, IID, seed, SITES), "patient")
        assert places["p0"] == places["p2"]
    assert any(
        (found := cells(put(rows, IID, seed), "patient"))["p0"] != found["p2"] for seed in range(6)
    )


def test_a_written_partition_is_a_manifest_for_each_site(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    rows = dataset()
    for row in rows:
        (images / row["path"]).touch()
    divided = put(rows, IID)
    write_partition(divided, tmp_path / "run.csv")
    assert [row for _, row in read_table(tmp_path / "run.csv", {})] == divided
    assert [path.name for path in tmp_path.glob("run*")] == ["run.csv"]
    for site in SITES:
        manifest = read_manifest(tmp_path / "run.csv", ("a", "b"), only={"site": site}, root=images)
        mine = [row for row in divided if row["site"] == site]
        assert [example.image.name for example in manifest.examples] == [r["path"] for r in mine]
        assert [example.split for example in manifest.examples] == [r["split"] for r in mine]


@pytest.mark.real
def test_the_taleqani_images_are_divided_as_the_scenario_promises() -> None:
    if not TALEQANI.is_file():
        pytest.skip("the Taleqani images are not on this machine")
    scenario, study = load_scenario("taleqani-3-sites")
    with TALEQANI.open(newline="", encoding="utf-8") as file:
        original = list(csv.DictReader(file))
    rows = assign(original, scenario.partition, study.seed, study.sites, [None] * len(original))
    for column in ("stain_cluster", "field"):
        assert all(len(found) == 1 for found in cells(rows, column).values())
    images = Counter((row["label"], row["site"], row["split"]) for row in rows)
    total = Counter(row["label"] for row in rows)
    for label in study.labels.classes:
        mine = [row for row in rows if row["label"] == label]
        clusters = {part: {r["stain_cluster"] for r in mine if r["split"] == part}
                    for part in ("validation", "test")}  # fmt: skip
        assert len(clusters["test"]) >= 2
        assert len(clusters["validation"]) >= 1
        assert all(images[label, site, "train"] > 0 for site in study.sites)
        for part, share in (("train", 0.6), ("validation", 0.15), ("test", 0.25)):
            got = sum(images[label, site, part] for site in study.sites)
            assert got / total[label] == pytest.approx(share, abs=0.03)


def test_labels_become_the_classes_they_stand_for(tmp_path: Path) -> None:
    rows = dataset(groups=40)
    for number, row in enumerate(rows):
        (tmp_path / row["path"]).write_bytes(number.to_bytes(2, "big"))
    write_partition(rows, tmp_path / "manifest.csv")
    vocabulary = Vocabulary(("ill", "well"), {"A": "ill", "b": "well"})
    divided = partition(tmp_path / "manifest.csv", BALANCED, 3, SITES, vocabulary)
    meant = {"a": "ill", "b": "well"}
    assert [row["label"] for row in divided] == [meant[row["label"]] for row in rows]
    halved = Vocabulary(("ill", "well"), {"a": "ill", "b": None})
    kept = partition(tmp_path / "manifest.csv", IID, 3, SITES, halved)
    assert [row["path"] for row in kept] == [row["path"] for row in rows if row["label"] == "a"]


def test_labels_that_stand_for_nothing_are_told_with_the_lines_to_add(tmp_path: Path) -> None:
    rows = dataset(groups=10)
    write_partition(rows, tmp_path / "manifest.csv")
    with pytest.raises(DataError, match="label that the study does not know: ") as caught:
        partition(tmp_path / "manifest.csv", IID, 3, SITES, Vocabulary(("a", "bb")))
    added = yaml.safe_load(caught.value.local_detail.partition("\n")[2])
    assert added == {"labels": {"b": "bb"}}
    nothing = Vocabulary(("x", "y"), {"a": None, "b": None})
    with pytest.raises(DataError, match="are left out by the scenario"):
        partition(tmp_path / "manifest.csv", IID, 3, SITES, nothing)
