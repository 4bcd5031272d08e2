"""A site's own records: one process at a time changes them, as the user to whom they belong."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigError

_FIX = "stop it first, or give this site a state folder of its own"


@contextmanager
def alone(state: Path, fix: str = _FIX) -> Iterator[None]:
    """Keep a second worker from the same records; a killed process holds nothing.

    Args:
        state: the site's state folder.
        fix: what to do where a worker uses it.

    Raises:
        ConfigError: the folder cannot be written to, or a worker uses it.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "worker.lock").open("w")
    except OSError as error:
        raise ConfigError(
            f"the state folder cannot be written to: {error.strerror}",
            fix="correct its permissions, or name another folder in the site file, under `state`",
            local_detail=str(state),
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                "another worker uses this site's state folder",
                fix=fix,
                local_detail=str(state),
            ) from error
        yield


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Act, within this context, as the user who owns a folder, if this process is root's.

    What root wrote among the worker's records, the worker could neither read nor replace.
    """
    if os.geteuid() != 0 or not folder.exists():
        yield
        return
    owner, group = folder.stat()[4:6]
    own_group = os.getegid()
    os.setegid(group)
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_group)
