from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import DataError
from common.imaging.decode import decode
from common.study.data import Split
from simulations.division import (
    ByFile,
    ByStain,
    Dirichlet,
    Iid,
    Partition,
    Shards,
    SizeSkew,
)
from simulations.partition import assign, partition, write_partition
from simulations.partition_file import Row, partition_csv
from tests.support.small import write_smears

SITES = ("north", "south", "west")
PARTS = Split(validation=0.2, test=0.25)
DIRICHLET = Dirichlet(by="dirichlet", alpha=0.5, parts=PARTS)
SHARDS = Shards(by="shards", each=2, parts=PARTS)
SKEW = SizeSkew(by="size-skew", sigma=0.8, parts=PARTS)
WAYS: tuple[Partition, ...] = (DIRICHLET, SHARDS, SKEW)


def dataset(groups: int = 60, classes: int = 4) -> list[Row]:
    """Groups of one class each, of one to four images."""
    return [
        {"path": f"{g:03d}-{i}.png", "label": "abcd"[g % classes], "patient": f"p{g}"}
        for g in range(groups)
        for i in range(1 + g // classes % 4)
    ]


def put(
    rows: list[Row], settings: Partition, seed: int = 1, sites: tuple[str, ...] = SITES
) -> list[Row]:
    return assign(rows, settings, seed, sites, [None] * len(rows))


@pytest.mark.parametrize("settings", WAYS, ids=lambda s: s.by)
def test_each_site_trains_what_it_holds_and_has_every_part(settings: Partition) -> None:
    for seed in range(5):
        divided = put(dataset(), settings, seed)
        held: dict[str, set[str]] = defaultdict(set)
        trained: dict[str, set[str]] = defaultdict(set)
        parts: dict[str, set[str]] = defaultdict(set)
        for row in divided:
            held[row["site"]].add(row["label"])
            parts[row["site"]].add(row["split"])
            if row["split"] == "train":
                trained[row["site"]].add(row["label"])
        assert set(held) == set(SITES)
        assert trained == held
        assert all(len(found) == 3 for found in parts.values())
    assert put(dataset(), settings, 1) == put(dataset(), settings, 1)
    assert put(dataset(), settings, 1) != put(dataset(), settings, 2)


def unevenness(settings: Partition) -> float:
    """Mean over seeds and classes of the largest site's share of a class."""
    largest = []
    for seed in range(4):
        counts = Counter((row["label"], row["site"]) for row in put(dataset(120), settings, seed))
        largest += [
            max(counts[label, site] for site in SITES)
            / sum(counts[label, site] for site in SITES)
            for label in "abcd"
        ]  # fmt: skip
    return float(np.mean(largest))


def test_a_smaller_alpha_is_less_even() -> None:
    found = [
        unevenness(Dirichlet(by="dirichlet", alpha=alpha, parts=PARTS)) for alpha in (0.2, 1, 50)
    ]
    assert found[0] > found[1] + 0.05 > found[2] + 0.1
    assert found[2] < 0.42


def test_sizes_differ_and_the_mix_of_classes_does_not() -> None:
    rows = dataset(240)
    divided = put(rows, SizeSkew(by="size-skew", sigma=1.2, parts=PARTS), 3)
    sizes = Counter(row["site"] for row in divided)
    assert max(sizes.values()) > 2 * min(sizes.values())
    for site in SITES:
        mine = Counter(row["label"] for row in divided if row["site"] == site)
        for label in "abcd":
            assert mine[label] / sizes[site] == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(
    ("settings", "groups", "problem", "fix"),
    [
        (DIRICHLET, 8, "by: dirichlet cannot be met with 8 groups at 3 sites", "partition.alpha"),
        (SHARDS, 6, "by: shards cannot be met with 6 groups", "partition.each"),
        (SKEW, 7, "by: size-skew cannot be met", "partition.sigma"),
    ],
)
def test_too_few_groups_are_told_with_the_setting(
    settings: Partition, groups: int, problem: str, fix: str
) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        put(dataset(groups), settings)
    assert fix in caught.value.fix
    assert "with " in caught.value.problem
    assert "would have no" in caught.value.problem


def smears(folder: Path) -> list[Row]:
    """Images of three tints, four of each class."""
    rows = []
    for number, example in enumerate(write_smears(folder, 36, 48)):
        tinted = decode(example.image.read_bytes()) * (1.0, 0.75, 0.5)[number % 3]
        cv2.imwrite(str(example.image), tinted.astype(np.uint8)[..., ::-1])
        rows.append({"path": example.image.name, "label": "abcd"[number // 3 % 4]})
    return rows


def test_sites_by_stain_hold_one_tint_each(tmp_path: Path) -> None:
    rows = smears(tmp_path)
    write_partition(rows, tmp_path / "manifest.csv")
    settings = ByStain(by="stain", parts=PARTS)
    divided = partition(tmp_path / "manifest.csv", settings, 1, SITES)
    tints = defaultdict(set)
    for number, row in enumerate(divided):
        tints[row["site"]].add(number % 3)
    assert dict(tints) == {"north": {2}, "south": {1}, "west": {0}}  # the darkest first
    write_partition(rows[::-1], tmp_path / "manifest.csv")
    turned = partition(tmp_path / "manifest.csv", settings, 1, SITES)
    assert turned[::-1] == divided


def test_images_of_one_colour_are_not_gathered(tmp_path: Path) -> None:
    rows = [{"path": f"{i}.png", "label": "a"} for i in range(12)]
    for number, row in enumerate(rows):
        cv2.imwrite(str(tmp_path / row["path"]), np.full((8 + number, 8, 3), 90, np.uint8))
    write_partition(rows, tmp_path / "manifest.csv")
    with pytest.raises(DataError, match="the 12 groups have fewer than 3 different colours"):
        partition(tmp_path / "manifest.csv", ByStain(by="stain"), 1, SITES)


def filed(tmp_path: Path, text: bytes) -> ByFile:
    (tmp_path / "sites.csv").write_bytes(text)
    return ByFile(by="file", file=str(tmp_path / "sites.csv"))


@pytest.mark.parametrize("settings", [*WAYS, Iid(by="iid", parts=PARTS)], ids=lambda s: s.by)
def test_a_saved_partition_is_the_same_when_it_is_used_again(
    settings: Partition, tmp_path: Path
) -> None:
    divided = put(dataset(), settings)
    text = partition_csv(divided)
    assert text == partition_csv(divided[::-1])
    assert put(dataset(), filed(tmp_path, text), seed=99) == divided


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("000-0.png", "other.png", "lacks 1 of 144 images, and lists 1 that are not there"),
        ("001-0.png", "000-0.png", "1 list an image again"),
        (",north,", ",moon,", "name no site of the study and 0 no part; none names north"),
        (",test", ",exam", "no site of the study and .. no part"),
        ("path,label,site", "path,label,place", "lacks the column site"),
    ],
)
def test_a_partition_that_does_not_fit(old: str, new: str, problem: str, tmp_path: Path) -> None:
    text = partition_csv(put(dataset(), DIRICHLET)).decode()
    whole = {",north,", ",test"}
    changed = text.replace(old, new) if old in whole else text.replace(old, new, 1)
    with pytest.raises(DataError, match=problem):
        put(dataset(), filed(tmp_path, changed.encode()))


def test_a_partition_that_divides_a_group(tmp_path: Path) -> None:
    divided = put(dataset(), DIRICHLET)
    last = divided[-1]
    others = [site for site in SITES if site != last["site"]]
    moved = [*divided[:-1], {**last, "site": others[0]}]
    with pytest.raises(DataError, match="1 of 60 groups lie at more than one site or part"):
        put(dataset(), filed(tmp_path, partition_csv(moved)))
