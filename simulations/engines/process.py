"""What runs in a process of Ray; a room of its own, so that the process imports nothing else."""

from collections.abc import Callable

Answer = Callable[[str, bytes], bytes]
"""Turns a site's name and the bytes of a request into those of the reply."""
OpenSeat = Callable[[], Answer]
"""Called in a process once, it returns what answers there; it is pickled."""


class Process:
    """Answers for any site, one at a time.

    Args:
        open_seat: makes what answers.
    """

    def __init__(self, open_seat: OpenSeat) -> None:
        self._answer = open_seat()

    def is_up(self) -> None:
        """Return once the process is up."""

    def answer(self, site: str, data: bytes) -> bytes:
        """Answer a request."""
        return self._answer(site, data)
