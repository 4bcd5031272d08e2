"""The site's SuperNode: how it is started, what its endings mean, and which ClientApp hangs."""

import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.site_folder import SiteFolder
from client.sockets import PULSE_VARIABLE, SOCKET_VARIABLE
from common.supervision import Ending, Verdict, plain_verdict

UNKNOWN_KEY = "the coordinator does not know this key (revoked, or not admitted yet)"
_LEASE = (
    "the coordinator did not take it in; the SuperNode before it may count as connected for up "
    "to 60 s"
)
_LEASE_S = 90.0  # Flower's own lease is 60 s; a refusal that lasts longer has another cause
_LEASE_PAUSE_S = 10.0
# How a SuperNode ends whose key is not known any more: of two threads that are answered 401 at once
# one ends it in order, unless the other is quicker and dies of it.
_GOODBYE, _STRANGER = "SuperNode terminated gracefully", "Invalid node ID"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_KNOWN = {  # what a SuperNode prints at its end: the first that fits counts
    "certificate has expired": "the coordinator's certificate has expired",
    "certificate is not yet valid": "the coordinator's certificate is not valid yet by this "
    "machine's clock",
    "CERTIFICATE_VERIFY_FAILED": "the coordinator's certificate is not of this federation; "
    "something on the way may intercept the connection",
    "Exit Code: 302": "the site's key cannot be used",
    "SuperNode authentication is enabled": "the coordinator wants the site's key",
}


def node_command(folder: SiteFolder, address: str) -> list[object]:
    """Return the words that start a site's SuperNode.

    Args:
        folder: the site's.
        address: the coordinator's.
    """
    return [
        sys.executable, "-P", "-m", "client.supernode",
        "--superlink", address,
        "--root-certificates", folder.authority.resolve(),
        "--auth-supernode-private-key", folder.node_key.resolve(),
        "--port", _free_port(),
    ]  # fmt: skip


def node_environment(folder: SiteFolder, proxy: str) -> dict[str, str]:
    """Return the environment of a site's SuperNode and of its children.

    Flower calls nobody else by it. All that goes to another machine goes through the proxy; what
    the children tell the SuperNode, over the loopback and without TLS, does not.

    Args:
        folder: the site's.
        proxy: the tunnel's URL.
    """
    proxies = {word for name in _PROXIES for word in (name, name.lower())}
    here = str(Path(sys.executable).parent)
    return {
        **{name: value for name, value in os.environ.items() if name not in proxies},
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "NO_PROXY": "http://127.0.0.1",
        "HOME": str(folder.link.resolve()),
        "FLWR_HOME": str(folder.flower_home.resolve()),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        SOCKET_VARIABLE: str(folder.socket.resolve()),
        PULSE_VARIABLE: str(folder.pulse.resolve()),
        "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}",
    }


class NodeVerdicts:
    """What the endings of a SuperNode mean, one after the other.

    Args:
        lease_s: how long a refusal may be due to the lease of the SuperNode before, in seconds.
    """

    def __init__(self, lease_s: float = _LEASE_S) -> None:
        self._lease_s = lease_s
        self.words = ""
        """What is wrong with it, until it has run for a while."""
        self._refused_since: float | None = None
        self._was_cut_off = False

    def __call__(self, ending: Ending) -> Verdict:
        """Say what an ending means."""
        verdict = self._found(ending)
        self.words = verdict.words
        return verdict

    def forget(self) -> None:
        """Take note that it runs well."""
        self.words = ""
        self._refused_since = None
        self._was_cut_off = False

    def _found(self, ending: Ending) -> Verdict:
        text = "\n".join(ending.last)
        if "Failed to activate" in text:
            now = time.monotonic()
            if self._refused_since is None:
                self._refused_since = now
            if self._was_cut_off or now - self._refused_since > self._lease_s:
                return Verdict(UNKNOWN_KEY)
            return Verdict(_LEASE, _LEASE_PAUSE_S)
        self._refused_since = None
        if _GOODBYE in text if ending.code == 0 else _STRANGER in text:  # it was answered 401
            self._was_cut_off = True
            return Verdict(UNKNOWN_KEY)
        known = (words for sign, words in _KNOWN.items() if sign in text)
        return Verdict(next(known, plain_verdict(ending).words))


@dataclass(frozen=True)
class CarrierProcess:
    """A ClientApp at work."""

    pid: int
    age_s: float


def carriers(group: int) -> Sequence[CarrierProcess]:
    """List the ClientApps in a SuperNode's process group.

    There are none where the system has no /proc, as on macOS.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[2]) == group and b"flwr-clientapp" in (folder / "cmdline").read_bytes():
                began_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
                age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
                found.append(CarrierProcess(int(folder.name), age_s))
        except (OSError, ValueError, IndexError):  # it has just ended
            continue
    return found


def quiet_s(pulse: Path) -> float:
    """Return how long ago a carrier last gave a sign of life, in seconds."""
    try:
        return max(0.0, time.time() - pulse.lstat().st_mtime)
    except OSError:
        return float("inf")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
