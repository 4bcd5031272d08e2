from pathlib import Path
from random import Random

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from client.data.groups import join_groups
from client.data.manifest import Example
from client.data.splits import split
from common.errors import DataError
from common.study.data import Split

SHARES = Split(validation=0.2, test=0.25)
laws = settings(deadline=None, derandomize=True, max_examples=60)


@st.composite
def sites(draw: st.DrawFn) -> list[Example]:
    """Up to 30 groups of up to 12 images of up to three classes."""
    groups = draw(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), max_size=30))
    return [
        Example(Path(f"{g}/{i}.jpg"), label, f"g{g}")
        for g, labels in enumerate(groups)
        for i, label in enumerate(labels)
    ]


def drawn(examples: list[Example], seed: int = 1) -> dict[str, list[Example]]:
    try:
        return {str(name): part for name, part in split(examples, SHARES, seed, "a").items()}
    except DataError:
        assume(False)
        raise


@laws
@given(sites())
def test_parts_hold_every_image_once_and_no_group_twice(examples: list[Example]) -> None:
    parts = drawn(examples)
    images = [example.image for part in parts.values() for example in part]
    assert sorted(images) == sorted(example.image for example in examples)
    groups = [{example.group for example in part} for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert all(groups)


@laws
@given(sites())
def test_parts_are_within_a_group_of_each_stratum_of_their_share(examples: list[Example]) -> None:
    parts = drawn(examples)
    sizes = np.unique([example.group for example in examples], return_counts=True)[1]
    bound = 3 * sizes.max()
    for name, share in (("train", 0.55), ("validation", 0.2), ("test", 0.25)):
        assert abs(len(parts[name]) - share * len(examples)) <= bound


@laws
@given(sites(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(examples: list[Example], random: Random) -> None:
    parts = drawn(examples)
    shuffled = list(examples)
    random.shuffle(shuffled)
    assert drawn(shuffled) == parts


@laws
@given(st.lists(st.tuples(st.integers(0, 8), st.none() | st.integers(0, 8)), max_size=20))
def test_joined_groups_are_the_finest_that_respect_both_columns(
    rows: list[tuple[int, int | None]],
) -> None:
    groups = [f"g{group}" for group, _ in rows]
    links = [None if link is None else str(link) for _, link in rows]
    joined = join_groups(groups, links)

    expected = list(groups)  # relabel until nothing changes
    for _ in rows:
        for i in range(len(rows)):
            for j in range(len(rows)):
                same = groups[i] == groups[j] or (links[i] == links[j] and links[i] is not None)
                if same:
                    expected[i] = expected[j] = min(expected[i], expected[j])
    assert joined == expected
