"""BatchNorm layers that a site trains for itself (Li et al. 2021, FedBN)."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def trained_norms(tail: nn.Module, *, wanted: bool) -> Iterator[None]:
    """Let a tail's BatchNorm layers learn within this context: weights, biases and statistics.

    Args:
        tail: of a branch; its other layers are left as they are.
        wanted: whether they are to; otherwise nothing is changed.
    """
    norms = [m for m in tail.modules() if isinstance(m, nn.BatchNorm2d)] if wanted else []
    for norm in norms:
        norm.train().requires_grad_(True)
    try:
        yield
    finally:
        for norm in norms:
            norm.eval().requires_grad_(False)
