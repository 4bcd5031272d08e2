"""How many images two sites have in common, from keyed hashes that are compared and forgotten."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from common.figures import Shared


def shared_images(signatures: Mapping[str, Sequence[str]]) -> list[Shared]:
    """Count equal signatures of every two sites, zeros included.

    Args:
        signatures: by site, each once.
    """
    held = {site: set(found) for site, found in sorted(signatures.items())}
    return [
        Shared(sites=(one, other), images=len(held[one] & held[other]))
        for one, other in combinations(held, 2)
    ]
