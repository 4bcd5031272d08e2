"""Which images must stay on one side of every split."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from common.errors import DataError
from common.study.data import Data


def check_grouping(grouped_by: str, settings: Data) -> None:
    """Check that a manifest groups by the column that a study demands, if it demands one.

    Raises:
        DataError: it does not. This text travels to the coordinator.
    """
    if settings.require is not None and grouped_by != settings.require:
        raise DataError(
            f"the study demands groups by {settings.require}, and this site's manifest does not "
            f"fill that column in every row: it would group by {grouped_by}",
            fix=f"fill the column {settings.require} in every row (any code will do), leave the "
            "rows out where it is unknown, or run the study without this site",
        )


def join_groups(groups: Sequence[str], *links: Sequence[str | None]) -> list[str]:
    """Join groups that share a value in a link column, and groups joined to those, and so on.

    Args:
        groups: the group of each image, n of them.
        links: columns of n values; None links nothing.

    Returns:
        The joined group of each image, named after its first member in sorted order: groups that
        nothing joins keep their names.
    """
    names = sorted(set(groups))
    number: dict[tuple[int, str], int] = {(-1, name): i for i, name in enumerate(names)}
    edges: list[tuple[int, int]] = []
    for column, link in enumerate(links):
        for group, value in zip(groups, link, strict=True):
            if value is not None:
                node = number.setdefault((column, value), len(number))
                edges.append((number[-1, group], node))
    if not edges:
        return list(groups)
    start, end = np.array(edges).T
    graph = coo_array((np.ones(len(edges)), (start, end)), shape=(len(number), len(number)))
    _, component = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for i, name in enumerate(names):
        first.setdefault(int(component[i]), name)
    return [first[int(component[number[-1, group]])] for group in groups]
