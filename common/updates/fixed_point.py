"""Exact arithmetic on float16 values: integers in units of 2^-24, added in int64.

Every finite float16 is a multiple of 2^-24, its smallest subnormal, and below 2^16 in size. As
an integer in that unit it is below 2^40, so int64 holds any sum in which the weights add up to
at most 2^23. Integer addition is associative: the same terms give the same bits in any order.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE = 2**24
"""Units per 1."""
MOST_EXAMPLES = 2**23
"""Most examples, over all sites, that one sum can weigh: 65504 * 2^24 * 2^23 < 2^63."""


def to_fixed(values: NDArray[np.float16]) -> NDArray[np.int64]:
    """Express finite float16 values in units of 2^-24, exactly.

    The product stays exact in float32: scaling by a power of two only moves the exponent.
    """
    return (values.astype(np.float32) * np.float32(SCALE)).astype(np.int64)


class ExactSum:
    """The sum of weighted float16 arrays, bit for bit the same in every order of addition.

    Its memory, 8 bytes per value, does not grow with the number of terms.

    Args:
        template: arrays whose names and shapes every term has; their values are not read.
    """

    def __init__(self, template: Mapping[str, NDArray[Any]]) -> None:
        self.examples = 0
        self.sums = {name: np.zeros(a.shape, np.int64) for name, a in template.items()}

    def add(self, arrays: Mapping[str, NDArray[np.float16]], examples: int) -> None:
        """Add `examples` times the arrays.

        Args:
            arrays: finite float16, with the template's names and shapes. The coordinator
                establishes this in `server.aggregation`; it is not checked again here.
            examples: the weight, at least 1.

        Raises:
            OverflowError: the weights would exceed `MOST_EXAMPLES`; nothing was added.
        """
        if self.examples + examples > MOST_EXAMPLES:
            raise OverflowError(f"an exact sum weighs at most {MOST_EXAMPLES} examples")
        for name, total in self.sums.items():
            term = to_fixed(arrays[name])
            term *= examples
            total += term
        self.examples += examples

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Divide the sums by the examples; at least one term must have been added.

        Each value is rounded to float64 once as a sum and once as a quotient, so its relative
        error is at most 2^-52.
        """
        unit = float(self.examples) * SCALE
        return {name: total / unit for name, total in self.sums.items()}
