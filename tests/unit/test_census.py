"""What a census may tell, for a site's words stand in what a run leaves."""

from typing import Any

import pytest

from common.asks import CensusTold
from common.errors import UpdateRejected
from server.phases.census import check_census
from tests.support.launched import tiny_study

FRONTS = {"net": "a" * 64}
CENSUS = CensusTold(
    examples={"train": {"a": 5, "b": 6}}, withheld={"test": ("b",)}, fewest_examples=5, groups={},
    grouped_by="slide", excluded={"unreadable": 1}, weights=FRONTS,
    software={"leukofed": "0.1.0"}, numerics={"precision": "float32"},
)  # fmt: skip


@pytest.mark.parametrize("grouped_by", ["patient", "slide", "stain_cluster", "field", "image"])
def test_an_honest_census_is_taken(grouped_by: str) -> None:
    told = CENSUS.model_copy(update={"grouped_by": grouped_by})
    check_census("north", told, tiny_study(), FRONTS)


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        ({"weights": {}}, "weights of net are not those"),
        ({"weights": {"net": "b" * 64}}, "weights of net are not those"),
        ({"weights": {**FRONTS, "| [x](http://x) |": "b" * 64}}, "does not have"),
        ({"examples": {"train": {"c": 1}}}, "classes that the study does not have"),
        ({"withheld": {"train": ("<b>",)}}, "classes that the study does not have"),
        ({"grouped_by": "nothing.\n\n# Approved for diagnosis"}, "does not have"),
        ({"software": {str(number): "x" for number in range(51)}}, "does not have"),
        ({"excluded": {str(number): 1 for number in range(51)}}, "does not have"),
    ],
)
def test_a_lie_is_rejected(lie: dict[str, Any], text: str) -> None:
    with pytest.raises(UpdateRejected, match=text):
        check_census("north", CENSUS.model_copy(update=lie), tiny_study(), FRONTS)
