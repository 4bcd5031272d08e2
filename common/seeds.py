"""One named random stream per purpose, so that no two uses of chance ever share numbers."""

import hashlib
import json

import numpy as np


def seed_for(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed from the study's seed and a purpose.

    Args:
        seed: the study's seed.
        purpose: what the stream is for: phase, round, site, use. `("a", 12)` and `("a1", 2)`
            give different streams.
    """
    name = json.dumps([seed, *purpose], separators=(",", ":")).encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Open the random stream of a purpose; see `seed_for`."""
    return np.random.default_rng(seed_for(seed, *purpose))
