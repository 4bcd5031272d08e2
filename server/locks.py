"""A lock that commands of one coordinator take in turn."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, and wait for it before; a process that has ended holds none.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise ConfigError(
            f"the folder {folder.name} cannot be written to: {error.strerror}",
            fix="work as the federation's owner, on a disk with room",
            local_detail=str(folder),
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
