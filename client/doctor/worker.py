"""Checks of the worker as it runs, and of what keeps foreign code out."""

import socket
import struct
from pathlib import Path

from client.desk import look
from client.doctor.finding import Finding, ok, problem, warning
from client.import_guard.installation import guard_files, installed_roots, site_packages, state
from client.site_folder import SiteFolder
from common.durations import duration
from common.errors import ConfigError
from common.worker_pb2 import Outlook

_START = "start it with `leukofed-site run`"


def worker_line(folder: SiteFolder) -> Finding:
    """Ask the worker how it is."""
    if not folder.desk.exists():
        return warning("worker", "it does not run", _START)
    try:
        outlook = look(folder.desk)
    except ConfigError as error:
        return problem("worker", error.problem, f"{_START}; look into {folder.logs} if it runs")
    activity = Outlook.Activity.Name(outlook.activity).lower()
    return ok("worker", f"it answers: {activity}, up for {duration(outlook.up_seconds)}")


def wall_line(folder: SiteFolder, processes: Path = Path("/proc")) -> Finding | None:
    """Say whether the worker has a way out to a network; None: it does not run.

    Args:
        folder: the site's.
        processes: where the system tells of its processes.
    """
    pid = listener(folder.desk)
    if pid is None:
        return None
    try:
        has_way_out = _routes(processes / str(pid) / "net")
        is_apart = (processes / str(pid) / "ns" / "net").readlink() != (
            processes / "self" / "ns" / "net"
        ).readlink()
    except OSError:
        return warning(
            "wall",
            "whether the worker has a network could not be seen",
            "run this check as root, or as the worker's user",
        )
    if has_way_out:
        return warning(
            "wall",
            "the worker, which sees images, can use the network: there is no wall",
            "run it by its systemd unit, or under `unshare --net`; for a trial it may stay so",
        )
    where = "in a network of its own" if is_apart else "on a machine without a network"
    return ok("wall", f"the worker has no way out: it is {where}")


def listener(path: Path) -> int | None:
    """Return the number of the process that listens at a Unix socket, if the system tells it."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5.0)
            probe.connect(str(path))
            told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError:
        return None
    pid: int = struct.unpack("3i", told)[0]
    return pid or None  # 0: of another container, not seen from here


def _routes(net: Path) -> bool:
    """Say whether a process has a route to anywhere but itself."""
    four = (net / "route").read_text(encoding="ascii").splitlines()[1:]
    six = net / "ipv6_route"
    others = six.read_text(encoding="ascii").splitlines() if six.exists() else []
    return bool(four) or any(line.split()[-1] != "lo" for line in others)


def guard_line() -> Finding:
    """Say whether this environment refuses code that was not installed in it."""
    try:
        found = state(site_packages(), guard_files(installed_roots()))
    except ConfigError as error:
        return warning("import guard", error.problem, error.fix)
    if found == "whole":
        return ok("import guard", "it is installed: only installed code runs here")
    install = "`leukofed-site guard install`, as the user who installed leukofed"
    if found == "altered":
        return problem("import guard", "it was altered, or is of another version", install)
    return warning(
        "import guard", "it is not installed: the carrier would run code that a run brings", install
    )
