"""Waiting for a worker to drop the work on a study that was withdrawn."""

import time
from collections.abc import Collection
from pathlib import Path

from client.desk import look
from common.errors import ConfigError

_LONGEST_S = 120.0  # a batch is done in seconds; an image that is read from a slow disk, too


def wait_until_stopped(
    desk: Path, digests: Collection[str], *, longest_s: float = _LONGEST_S
) -> float | None:
    """Wait until the worker works on none of these studies.

    Args:
        desk: the worker's socket for administrators.
        digests: of the studies.
        longest_s: how long to wait, in seconds.

    Returns:
        How long it took, 0 if it was not at work on them; None if no worker answers.

    Raises:
        ConfigError: it is still at work.
    """
    start = time.monotonic()
    is_first = True
    while True:
        try:
            outlook = look(desk)
        except ConfigError:
            return None
        waited = time.monotonic() - start
        if outlook.study.hex() not in digests:
            return 0.0 if is_first else waited
        if waited > longest_s:
            raise ConfigError(
                f"the worker is still at work on it after {longest_s:g} s",
                fix="stop the worker; nothing of this work will leave",
            )
        is_first = False
        time.sleep(0.2)
