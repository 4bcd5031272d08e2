from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from client.data.manifest import Example
from client.data.splits import split
from common.errors import DataError
from common.study.data import Data, Split


def examples(sizes: list[int], labels: list[int]) -> list[Example]:
    """Groups of given sizes, each of one label."""
    return [
        Example(Path(f"{group:03}-{i:03}.jpg"), label, f"g{group}")
        for group, (size, label) in enumerate(zip(sizes, labels, strict=True))
        for i in range(size)
    ]


def stated(*parts: str | None, group: str | None = None) -> list[Example]:
    return [
        Example(Path(f"{i}.jpg"), 0, group or f"g{i}", split=part) for i, part in enumerate(parts)
    ]


def test_stated_parts_are_followed() -> None:
    parts = split(stated("train", "Val", "test", "validation", "TEST"), Split(), 1, "a")
    counted = {name: [e.image.stem for e in members] for name, members in parts.items()}
    assert counted == {"train": ["0"], "validation": ["1", "3"], "test": ["2", "4"]}


def test_a_stated_part_may_be_empty() -> None:
    parts = split(stated("test", "test"), Split(), 1, "a")
    assert [len(members) for members in parts.values()] == [0, 0, 2]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (stated("train", None, None), "empty in 2 and neither .* in 0 of 3"),
        (stated("train", "holdout"), "empty in 0 and neither .* in 1 of 2"),
        (stated("train", "test", group="patient 7"), "1 of 1 groups lie in more than one part"),
    ],
)
def test_unusable_statements_are_refused(given: list[Example], problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        split(given, Split(), 1, "a")
    assert "patient 7" not in str(caught.value)
    assert "holdout" not in str(caught.value)


def test_shares_hold_for_every_class() -> None:
    generator = np.random.default_rng(0)
    labels = [group % 4 for group in range(120)]
    given = examples(generator.integers(5, 40, 120).tolist(), labels)
    totals = Counter(e.label for e in given)
    parts = split(given, Split(), 1, "a")
    for name, share in (("train", 0.65), ("validation", 0.15), ("test", 0.2)):
        found = Counter(e.label for e in parts[name])  # type: ignore[index]
        for label, total in totals.items():
            assert found[label] / total == pytest.approx(share, abs=0.06)


def test_seeds_and_sites_draw_differently() -> None:
    given = examples([10] * 40, [0, 1] * 20)
    tests = [
        frozenset(e.group for e in split(given, Split(), seed, site)["test"])
        for seed, site in [(1, "a"), (2, "a"), (3, "a"), (1, "b")]
    ]
    assert len(set(tests)) == 4


def test_every_group_is_tested_under_some_seed() -> None:
    given = examples([3, 5, 8, 4, 6, 9, 2, 7, 5, 6], [0, 1] * 5)
    seen = {e.group for seed in range(40) for e in split(given, Split(), seed, "a")["test"]}
    assert seen == {e.group for e in given}


def test_a_share_of_zero_leaves_its_part_empty() -> None:
    given = examples([2] * 20, [0] * 20)
    assert split(given, Split(validation=0), 1, "a")["validation"] == []


def test_a_few_groups_still_fill_every_part() -> None:
    parts = split(examples([30, 30, 30, 30], [0, 0, 1, 1]), Split(), 1, "a")
    assert all(parts.values())


def test_too_few_groups_are_refused() -> None:
    for given in ([], examples([50, 50], [0, 1])):
        with pytest.raises(DataError, match=f"{len({e.group for e in given})} groups are too few"):
            split(given, Split(), 1, "a")


def test_settings_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValidationError):
        Split(validation=0.5, test=0.5)
    with pytest.raises(ValidationError):
        Data.model_validate({"group": ["ward"]})
