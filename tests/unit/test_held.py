import math

import pytest

from common.figures import SiteData
from common.held import Held, groups_held, held_of, share, summed


def site(limit: int | None, *withheld: str, **train: int) -> SiteData:
    return SiteData(
        examples={"train": train}, withheld={"train": withheld}, fewest_examples=limit,
        groups={"train": 7}, grouped_by="patient",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (Held(61), "61"), (Held(0), "0"), (Held(0, 4), "< 5"), (Held(61, 4), "61 + < 5"),
        (Held(61, 4) + Held(2, 4), "63 + < 9"), (Held(0, math.inf), "few"),
        (Held(3) + Held(0, math.inf), "3 + few"),
    ],
)  # fmt: skip
def test_what_is_not_told_is_written_as_a_bound(held: Held, words: str) -> None:
    assert str(held) == words


@pytest.mark.parametrize("limit", [2, 3, 5, 10])
def test_the_bound_holds_for_every_count_that_a_site_would_withhold(limit: int) -> None:
    """A site withholds 1 to limit - 1 images of a class; the sum of two is below the bound."""
    both = summed([site(limit, "a", b=4), site(limit, "a", "b")], ("a", "b"))
    possible = [4 + x + y + z for x in range(1, limit) for y in range(1, limit)
                for z in range(1, limit)]  # fmt: skip
    assert both.told < min(possible)
    assert both.told + both.most_untold == max(possible)


def test_a_class_that_nobody_withholds_is_counted() -> None:
    assert held_of(site(5, "a", b=4), "train", "b") == Held(4)
    assert held_of(site(5, "a", b=4), "test", "a") == Held(0)


def test_no_share_is_told_of_what_is_not_known() -> None:
    assert share(Held(1), Held(4)) == 0.25
    assert share(Held(1), Held(4, 4)) is None
    assert share(Held(0), Held(0)) is None


def test_groups_are_added_where_all_tell_them() -> None:
    sites = {"a": site(5), "b": site(5)}
    assert groups_held(sites, "train") == 14
    assert groups_held(sites, "test") is None
