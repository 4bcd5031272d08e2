"""Ways to spoil a message: each takes bytes and a random stream, and returns other bytes."""

from collections.abc import Callable

import numpy as np

from common.wire import MAGIC

Random = np.random.Generator
Mutation = Callable[[bytes, Random], bytes]
FRONT = 80
"""Bytes of a signed request before the request: magic, protocol, launch, signature."""


def header_end(data: bytes, start: int) -> int:
    """Return where the arrays begin of a message that begins at `start`."""
    return start + 8 + int.from_bytes(data[start + 4 : start + 8], "big")


def flipped(data: bytes, random: Random, start: int = 0, stop: int | None = None) -> bytes:
    """Change one to eight bytes between two places."""
    changed = bytearray(data)
    for at in random.integers(start, len(data) if stop is None else stop, random.integers(1, 9)):
        changed[at] ^= int(random.integers(1, 256))
    return bytes(changed) if changed != data else flipped(data, random, start, stop)


def truncated(data: bytes, random: Random) -> bytes:
    """Cut the end off."""
    return data[: int(random.integers(len(data)))]


def extended(data: bytes, random: Random) -> bytes:
    """Add something at the end."""
    return data + random.bytes(int(random.integers(1, 5000)))


def emptied(data: bytes, random: Random) -> bytes:
    """Set a stretch to zeros, or if it was zeros, to ones."""
    start = int(random.integers(len(data)))
    stop = min(len(data), start + int(random.integers(1, 500)))
    filling = b"\x01" if not any(data[start:stop]) else b"\x00"
    return data[:start] + filling * (stop - start) + data[stop:]


def shortened(data: bytes, random: Random) -> bytes:
    """Take a stretch out of the middle."""
    start = int(random.integers(len(data) - 1))
    return data[:start] + data[start + int(random.integers(1, 200)) :]


def doubled(data: bytes, random: Random) -> bytes:
    """Put a copy of a stretch behind it."""
    start = int(random.integers(len(data) - 1))
    stop = min(len(data), start + int(random.integers(1, 200)))
    return data[:stop] + data[start:stop] + data[stop:]


def other_length(start: int, size: int = 4) -> Mutation:
    """Return what writes another number, often a giant one, where a length stands."""

    def mutation(data: bytes, random: Random) -> bytes:
        most = 256**size - 1
        wild = (0, 1, most, most // 2, int(random.integers(1 << 20)), int(random.integers(1 << 31)))
        number = int(wild[random.integers(len(wild))])
        return data[:start] + number.to_bytes(size, "big") + data[start + size :]

    return mutation


def garbage(_: bytes, random: Random) -> bytes:
    """Return bytes that mean nothing."""
    return random.bytes(int(random.integers(0, 3000)))


def misleading(_: bytes, random: Random) -> bytes:
    """Return bytes that mean nothing behind a magic number."""
    return MAGIC + random.bytes(int(random.integers(0, 3000)))
