"""A sign of life between two batches of work: the moment at which work can be stopped."""

from collections.abc import Callable

Pulse = Callable[[], None]
"""Called between batches; whatever it raises ends the work there, with nothing released."""


def no_pulse() -> None:
    """Watch nothing."""
