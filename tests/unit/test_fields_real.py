"""Fields of real smears, against those that another matcher found."""

import csv
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from client.data.fields.columns import fields_of
from client.data.fields.finding import find_pairs
from client.data.fields.store import FieldStore
from client.data.manifest import Example

TALEQANI = Path(__file__).parents[3] / "shared" / "data" / "taleqani-dev"


def together(names: list[str]) -> set[tuple[int, int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        members[name].append(number)
    return {pair for found in members.values() for pair in combinations(found, 2)}


@pytest.mark.real
@pytest.mark.slow
def test_fields_that_another_matcher_found_are_found(tmp_path: Path) -> None:
    if not TALEQANI.is_dir():
        pytest.skip("the Taleqani images are not on this machine")
    with (TALEQANI / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "Benign"]
    images = [TALEQANI / row["path"] for row in rows]
    store = FieldStore(tmp_path)
    digests = dict(zip(images, (row["sha256"] for row in rows), strict=True))
    pairs = find_pairs(digests, store).pairs
    store.close()
    ours = together(list(fields_of([Example(image, 0, "") for image in images], pairs).names))
    theirs = together([row["field"] for row in rows])
    assert len(theirs & ours) >= 0.9 * len(theirs)
    assert len(ours) <= 1.3 * len(theirs)  # theirs are a lower bound
