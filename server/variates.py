"""SCAFFOLD's control variate at the coordinator: the mean of what the sites keep themselves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.asks import CONTROL
from common.parts import Arrays
from common.study.schedule import Schedule, furthest_variate
from server.aggregation import RunningMean
from server.intake import check_arrays, check_norm


class ControlVariate:
    """The shared variate c in one round, and the changes that the sites send.

    Args:
        shared: c, float32, of the names that are trained.
        sites: in how many equal shares it is the mean of the sites' own: of the whole cohort.
    """

    def __init__(self, shared: Arrays, sites: int) -> None:
        self._shared = shared
        self._sites = sites
        self._changes = RunningMean(shared)

    def check(self, site: str, arrays: Arrays, schedule: Schedule) -> None:
        """Check a site's change of its own variate; nothing is added yet.

        Raises:
            UpdateRejected: it is not finite float16 of the right shapes, or changes more than
                clipped gradients can.
        """
        check_arrays(site, arrays, self._shared, np.float16)
        values = sum(array.size for array in self._shared.values())
        check_norm(site, arrays, furthest_variate(schedule, values))

    def add(self, site: str, arrays: Arrays) -> None:
        """Add a change that was checked."""
        self._changes.add(site, 1, arrays)

    def moved(self) -> dict[str, NDArray[np.float32]]:
        """Return c + |S| / N * mean of the changes (Karimireddy et al. 2020, algorithm 1, l. 17).

        Sites that were not drawn, or whose replies did not count, keep their variates, so that c
        stays the mean of all.
        """
        share = self._changes.examples / self._sites
        return {
            name: np.asarray(self._shared[name] + share * change, dtype=np.float32)
            for name, change in self._changes.mean().items()
        }


def split_reply(arrays: Arrays) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Separate a reply's update from the change of its site's variate, `control/PART/NAME`."""
    prefix = f"{CONTROL}/"
    update = {name: array for name, array in arrays.items() if not name.startswith(prefix)}
    change = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    return update, change
