"""Long messages in pieces, as the worker's socket carries them."""

from collections.abc import Iterable, Iterator

from common.troubles import Trouble, Unanswered

MOST_PIECE = 1 << 20
"""Bytes of a piece."""


def cut(data: bytes) -> Iterator[bytes]:
    """Yield a message's pieces; of an empty one, none."""
    for start in range(0, len(data), MOST_PIECE):
        yield data[start : start + MOST_PIECE]


def joined(pieces: Iterable[bytes], most_bytes: int) -> bytes:
    """Put a message together.

    Raises:
        Unanswered: it holds more than `most_bytes`; the rest is not waited for.
    """
    message = bytearray()
    for piece in pieces:
        message += piece
        if len(message) > most_bytes:
            raise Unanswered(
                Trouble.TOO_LARGE, local_detail=f"more than {most_bytes / 1e6:g} MB came in"
            )
    return bytes(message)
