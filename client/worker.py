"""The process that sees the images: it serves two Unix sockets and has no use for a network."""

import fcntl
import logging
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from client.approved import ApprovedStudies
from client.launches import Launches
from client.phases import handle
from client.service import WorkerService, carrier_server, desk_server
from client.single_flight import SingleFlight
from client.site import Site
from client.site_config import SiteConfig
from client.sockets import LONGEST_PATH
from client.state_lock import alone
from common.errors import ConfigError
from common.signing import public_key
from common.stopping import stopped_by

_LOG = logging.getLogger("leukofed.worker")
_GET_INTERFACE_FLAGS = 0x8913  # SIOCGIFFLAGS of Linux; bit 0 of the flags: it is up
_STOP_S = 60.0  # how long a stop waits for the batch in progress


def serve(config: SiteConfig, approved: Path, carrier: Path, desk: Path) -> None:
    """Serve until SIGTERM or SIGINT; the batch in progress is finished, no more.

    Nothing that was released is lost by a stop, nor by a crash: the same request gets the same
    bytes from the worker that is started next.

    Args:
        config: the site file; it must name the coordinator's key.
        approved: folder of the approved studies.
        carrier: the carrier's socket; readable and writable by its owner and group.
        desk: the administrators' socket; its owner's alone.

    Raises:
        ConfigError: the site file names no key, a folder is missing or cannot be written to, a
            socket's path is too long or taken, or another worker uses the same state.
        DataError: another process uses the cache.
    """
    if config.coordinator is None:
        raise ConfigError(
            "the site file does not name the coordinator's key",
            fix="take the coordinator's kit with `leukofed-site join KIT`",
        )
    if not approved.is_dir():
        raise ConfigError(
            "the folder of approved studies does not exist",
            fix="make it, and put the signed study files that the hospital approves into it",
            local_detail=str(approved),
        )
    if carrier.resolve() == desk.resolve():
        raise ConfigError(
            "the carrier's socket and the administrators' are the same",
            fix="choose another path for one of them, with --socket or --desk",
            local_detail=str(carrier),
        )
    key = public_key(config.coordinator)
    studies = ApprovedStudies(approved, key)
    stopping = stopped_by(signal.SIGTERM, signal.SIGINT)
    with alone(config.state), _free(carrier), _free(desk):
        # The work pulses the flight, and the flight runs the work: one has to come first.
        flight: SingleFlight
        site = Site(
            config,
            studies,
            progress=lambda done, of: flight.progress(done, of),
            pulse=lambda: flight.pulse(),
        )
        flight = SingleFlight(partial(handle, site=site))
        most = int(config.limits.largest_request_mb * 1e6)
        launches = Launches(config.state / "launches")
        service = WorkerService(config.name, studies, key, most, flight, launches)
        servers = [carrier_server(service, carrier), desk_server(service, desk)]
        for server, path, mode in zip(servers, (carrier, desk), (0o660, 0o600), strict=True):
            server.start()
            path.chmod(mode)
        _LOG.info(
            "site %s: %d studies approved; listening at %s", config.name, len(studies), carrier
        )
        if networks := reachable_networks():
            _LOG.warning(
                "there is no wall: this process can use the network (%s); run it where it cannot, "
                "as the systemd unit and `unshare --net` do",
                ", ".join(networks),
            )
        stopping.wait()
        _LOG.info("stopping after the batch in progress")
        if not flight.close(_STOP_S):
            _LOG.warning("the work did not stop within %g s; it is abandoned", _STOP_S)
        for server in servers:
            server.stop(grace=2.0).wait()
        site.close()
    _LOG.info("stopped")


def reachable_networks() -> list[str]:
    """List the network interfaces of this process that are up, the loopback left out.

    A fresh network namespace may hold tunnels, which are down. /sys would tell of the namespace in
    which it was mounted: the kernel is asked instead, and where it does not say, as on macOS, an
    interface counts.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        return [name for _, name in socket.if_nameindex() if name != "lo" and _is_up(name, probe)]


def _is_up(interface: str, probe: socket.socket) -> bool:
    try:
        asked = struct.pack("16sh22x", os.fsencode(interface), 0)
        told = fcntl.ioctl(probe, _GET_INTERFACE_FLAGS, asked)
    except OSError:
        return True
    return bool(struct.unpack_from("16xh", told)[0] & 1)


@contextmanager
def _free(path: Path) -> Iterator[None]:
    """Remove a socket that a killed worker left behind, and this worker's own at its end."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ConfigError(
            f"a socket's path may be {LONGEST_PATH} bytes long, and this one is longer",
            fix="choose a short folder, such as /var/lib/leukofed for the site",
            local_detail=str(path),
        )
    if not path.parent.is_dir():
        raise ConfigError(
            "the folder of the socket does not exist", fix="make it", local_detail=str(path.parent)
        )
    if path.exists():
        _clear(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove a socket at which nobody listens; whatever else is there stays."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        pass
    except OSError as error:  # for one, a socket of another user's, which may well be in use
        raise ConfigError(
            f"what lies where the socket should be cannot be used: {error.strerror}",
            fix="choose another path, or start the worker as the user that started it before",
            local_detail=str(path),
        ) from error
    else:
        raise ConfigError(
            "another process listens at this socket",
            fix="stop it first, or choose another socket",
            local_detail=str(path),
        )
    if not path.is_socket():
        raise ConfigError(
            "where the socket should be lies something else",
            fix="move it away, or choose another path",
            local_detail=str(path),
        )
    path.unlink()
