"""Long messages in pieces, as the worker's socket carries them."""

from collections.abc import Callable, Iterable, Iterator

from common.troubles import Trouble, Unanswered

MOST_PIECE = 1 << 20
"""Bytes of a piece."""


def cut(data: bytes) -> Iterator[bytes]:
    """Yield a message's pieces; of an empty one, none."""
    for start in range(0, len(data), MOST_PIECE):
        yield data[start : start + MOST_PIECE]


def joined(
    pieces: Iterable[bytes], most_bytes: int, check_at: int, check: Callable[[bytes], object]
) -> bytearray:
    """Put a message together.

    Args:
        pieces: of it.
        most_bytes: in all.
        check_at: after how many bytes `check` is given those that are there. What raises there
            spares the memory for the rest; a shorter message is not checked here.
        check: raises Unanswered.

    Raises:
        Unanswered: it holds more than `most_bytes`, or `check` says so; the rest is not waited for.
    """
    message = bytearray()
    for piece in pieces:
        is_checked = len(message) >= check_at
        message += piece
        if not is_checked and len(message) >= check_at:
            check(bytes(message))
        if len(message) > most_bytes:
            raise Unanswered(
                Trouble.TOO_LARGE, local_detail=f"more than {most_bytes / 1e6:g} MB came in"
            )
    return message
