"""That one process alone serves a federation, on ports that are free."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import ConfigError
from server.federation import Federation


@contextmanager
def alone(federation: Federation) -> Iterator[None]:
    """Serve a federation, as no other process does meanwhile.

    Raises:
        ConfigError: the folder holds no federation, cannot be written to, or is served already.
    """
    _ = federation.settings  # is this a federation's folder at all?
    try:
        federation.front.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (federation.front / "start.lock").open("w")
    except OSError as error:
        raise ConfigError(
            f"the federation's folder cannot be written to: {error.strerror}",
            fix="work as its owner, on a disk with room",
            local_detail=str(federation.front),
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                "another `leukofed-server start` serves this federation",
                fix="stop it first, with SIGTERM or Ctrl-C",
                local_detail=str(federation.path),
            ) from error
        yield


def is_served(federation: Federation) -> bool:
    """Whether a process serves the federation now, ready or not."""
    try:
        with (federation.front / "start.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # it never was, or by a user whose folder this one may not see
    return False


def check_free(port: int, key: str) -> None:
    """Check that nobody listens on a port.

    Args:
        port: its number.
        key: which setting names it.

    Raises:
        ConfigError: somebody does, or this user may not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used: {error.strerror}",
                fix=f"end what listens there, or choose another `{key}` in federation.yaml",
            ) from error
