"""Sums over the sites' replies, exact and the same in every order of arrival."""

import numpy as np
from numpy.typing import NDArray

from common.errors import UpdateRejected
from common.parts import Arrays
from common.updates.fixed_point import MOST_EXAMPLES, ExactSum
from server.intake import check_arrays, check_examples

LARGEST_SUM = 2**63 - 1


class RunningMean:
    """The example-weighted mean of float16 differences (McMahan et al. 2017, Algorithm 1).

    global' = global + sum_k n_k d_k / sum_k n_k, of which this is the second term;
    `common.updates.differences.apply` adds it. Updates are added as they arrive, as integers:
    the mean has the same bits in every order, and memory does not grow with the sites.

    Args:
        template: arrays whose names and shapes every update has; their values are not read.
    """

    def __init__(self, template: Arrays) -> None:
        self._template = template
        self._sum = ExactSum(template)

    @property
    def examples(self) -> int:
        """Examples weighed so far."""
        return self._sum.examples

    def add(self, site: str, examples: int, arrays: Arrays) -> None:
        """Add one site's update; all of it, or, if this raises, nothing.

        Args:
            site: whose it is.
            examples: its weight.
            arrays: float16 differences.

        Raises:
            UpdateRejected: the arrays are not finite float16 of the template's names and
                shapes, or the examples of all sites exceed 2^23.
        """
        check_examples(site, examples, MOST_EXAMPLES - self.examples)
        check_arrays(site, arrays, self._template, np.float16)
        self._sum.add(arrays, examples)

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Return the weighted mean; at least one update must have been added."""
        return self._sum.mean()


class RunningSum:
    """The sum of int64 arrays: histograms, counts, moments.

    Args:
        template: arrays whose names and shapes every term has; their values are not read.
    """

    def __init__(self, template: Arrays) -> None:
        self._template = template
        self._reach = 0  # no partial sum, in any order, can be larger than this
        self.sums = {name: np.zeros(a.shape, np.int64) for name, a in template.items()}

    def add(self, site: str, arrays: Arrays) -> None:
        """Add one site's arrays; all of them, or, if this raises, nothing.

        Raises:
            UpdateRejected: the arrays are not int64 of the template's names and shapes, or
                could take a sum beyond int64.
        """
        check_arrays(site, arrays, self._template, np.int64)
        reach = self._reach + max((_largest(a) for a in arrays.values()), default=0)
        if reach > LARGEST_SUM:
            raise UpdateRejected(
                site,
                f"its sums reach 2^{(reach - self._reach).bit_length() - 1}; "
                "with the others' they could exceed int64",
                fix="check how this site computes its sums",
            )
        self._reach = reach
        for name, total in self.sums.items():
            total += arrays[name]


def _largest(values: NDArray[np.int64]) -> int:
    return max(int(values.max()), -int(values.min())) if values.size else 0
