"""docs/data.md tells what becomes of every case of bad input that the tests try."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import bad_images, bad_manifests, bad_splits
from tests.support.bad_input import Case, table

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
TABLES: dict[str, Sequence[Case]] = {
    "images": bad_images.CASES, "manifests": bad_manifests.CASES, "splits": bad_splits.CASES,
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_every_case(name: str) -> None:
    written = re.search(
        f"<!-- bad input: {name} -->\n(.*?)\n<!-- end -->", PAGE.read_text(encoding="utf-8"), re.S
    )
    expected = table(TABLES[name])
    assert written is not None
    assert written[1] == expected, f"set this table in docs/data.md:\n{expected}"


def test_the_cases_are_many_and_counted() -> None:
    every = [case for cases in TABLES.values() for case in cases]
    for cases in TABLES.values():
        assert len({case.given for case in cases}) == len(cases)
    outcomes = Counter(case.outcome for case in every)
    words = (
        f"{len(every)} cases: {outcomes['refused']} refused, {outcomes['left out']} left out and "
        f"counted, {outcomes['used']} used"
    )
    print(words)
    assert outcomes["refused"] + outcomes["left out"] >= 40
    assert words in " ".join(PAGE.read_text(encoding="utf-8").split())
