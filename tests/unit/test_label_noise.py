from collections import Counter

import pytest
from pydantic import ValidationError

from simulations.label_noise import LabelNoise, with_noise
from simulations.partition_file import Row

CLASSES = ("a", "b", "c", "d")


def rows(each: int = 100) -> list[Row]:
    return [
        {"path": f"{site}{part}{label}{i}", "site": site, "split": part, "label": label}
        for site in ("north", "south")
        for part in ("train", "validation", "test")
        for label in CLASSES
        for i in range(each)
    ]


def noisy(noise: dict[str, LabelNoise], seed: int = 1, given: list[Row] | None = None) -> list[Row]:
    given = given or rows()
    return with_noise(given, noise, CLASSES, seed, [row["path"] for row in given])


def flips(found: list[Row]) -> Counter[tuple[str, str]]:
    return Counter(
        (row["true_label"], row["label"]) for row in found if row["label"] != row["true_label"]
    )


def test_a_share_of_each_classes_training_labels_is_flipped_evenly() -> None:
    found = noisy({"south": LabelNoise(share=0.2)})
    assert [row["true_label"] for row in found] == [row["label"] for row in rows()]
    changed = [row for row in found if row["label"] != row["true_label"]]
    assert {(row["site"], row["split"]) for row in changed} == {("south", "train")}
    for name in CLASSES:
        mine = {wrong: n for (true, wrong), n in flips(found).items() if true == name}
        assert sum(mine.values()) == 20
        assert sorted(mine.values()) == [6, 7, 7]


def test_a_table_says_what_becomes_of_what() -> None:
    table = {"a": {"b": 0.25, "c": 0.1}, "d": {"a": 1.0}}
    found = noisy({"north": LabelNoise(table=table)})
    assert flips(found) == {("a", "b"): 25, ("a", "c"): 10, ("d", "a"): 100}


def test_the_order_of_rows_changes_nothing_and_the_seed_does() -> None:
    noise = {"south": LabelNoise(share=0.3)}
    first = {row["path"]: row["label"] for row in noisy(noise)}
    turned = {row["path"]: row["label"] for row in noisy(noise, given=rows()[::-1])}
    other = {row["path"]: row["label"] for row in noisy(noise, seed=2)}
    assert first == turned != other


def test_copies_of_an_image_keep_one_label() -> None:
    given = rows(40)
    copies = [row["path"][:-1] if row["path"][-1] in "01" else row["path"] for row in given]
    found = with_noise(given, {"south": LabelNoise(share=0.5)}, CLASSES, 1, copies)
    labels: dict[str, set[str]] = {}
    for row, copy in zip(found, copies, strict=True):
        labels.setdefault(copy, set()).add(row["label"])
    assert all(len(one) == 1 for one in labels.values())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "give either share or table"),
        ({"share": 0.1, "table": {"a": {"b": 0.1}}}, "give either share or table"),
        ({"table": {"a": {"a": 0.1}}}, "wrong classes only"),
        ({"table": {"a": {"b": 0.6, "c": 0.6}}}, "more than 1"),
        ({"share": 1.2}, "less than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        LabelNoise.model_validate(settings)


def test_names_that_are_no_classes_are_found() -> None:
    assert LabelNoise(table={"a": {"x": 0.1}, "y": {"b": 0.1}}).unknown(CLASSES) == ["x", "y"]
