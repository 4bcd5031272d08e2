"""The front: nginx between the sites and the SuperLink, which has no login of its own.

It terminates TLS for the sites and passes on what the nodes of admitted sites ask, and the
health. Everything else that the SuperLink serves (starting and stopping runs, admitting sites,
taking tasks) stays on this machine.
"""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)
from jinja2 import Environment, PackageLoader, StrictUndefined

from common.errors import LeukofedError
from common.whole_file import write_whole
from server.federation import Federation
from server.sites import register

_CALL = "64k"
PATHS: Mapping[str, str] = {
    "/v1/fleet/activate-node": _CALL,
    "/v1/fleet/deactivate-node": _CALL,
    "/v1/fleet/send-node-heartbeat": _CALL,
    "/v1/fleet/pull-messages": _CALL,
    "/v1/fleet/confirm-message-received": _CALL,
    "/v1/fleet/get-run": _CALL,
    "/v1/fleet/get-fab": _CALL,
    "/v1/fleet/pull-object": _CALL,
    # The names of a message's pieces, about 100 bytes each: 1 MB names 50 GB.
    "/v1/fleet/push-messages": "1m",
    # One piece: Flower cuts arrays after 5 MiB, and adds a few hundred bytes.
    "/v1/fleet/push-object": "6m",
}
"""What an admitted site's node calls, and the largest body of each.

A node takes 403 for the end of its run, so what it calls is never forbidden. Left out are
`register-node` and `unregister-node`, which only a node without a key calls.
"""
CONNECTIONS = 256
"""Most requests at a time from one address; a node has five at most."""
REQUESTS_PER_S, BURST = 200, 1000
"""Requests from one address; a node alone asks twice in three seconds, in an exchange faster."""
_SECONDS = 20.0


class FrontError(LeukofedError):
    """The front cannot be started as things are."""


def front_configuration(federation: Federation) -> str:
    """Return the front's configuration; paths in it are relative to the front's folder.

    Raises:
        ConfigError: as `Federation.settings` and `register` say.
    """
    settings = federation.settings
    page = Environment(
        loader=PackageLoader("server", "."), undefined=StrictUndefined, keep_trailing_newline=True
    ).get_template("front.conf.j2")
    return page.render(
        user=_worker_user(federation),
        port=settings.port,
        link_port=settings.link_port,
        ipv6=_has_ipv6(),
        paths=PATHS,
        keys=admitted_keys(federation),
        connections=CONNECTIONS,
        requests_per_s=REQUESTS_PER_S,
        burst=BURST,
    )


def admitted_keys(federation: Federation) -> dict[str, str]:
    """Return the keys of admitted sites as their nodes name them in every request, with names.

    Raises:
        ConfigError: an entry of the register cannot be read.
    """
    return {
        _as_header(site.public_key): site.name
        for site in register(federation)
        if site.revoked is None
    }


def write_front(federation: Federation) -> Path:
    """Write the front's configuration and the folders that it needs; return the file.

    Raises:
        ConfigError: as `front_configuration` says.
        FrontError: the folder cannot be written to.
    """
    text = front_configuration(federation)
    file = configuration_file(federation)
    try:
        for folder in (federation.front, federation.front / "tmp"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(file, text.encode())
    except OSError as error:
        raise FrontError(
            f"the front's configuration cannot be written: {error.strerror}",
            fix="see that the federation's folder is yours, and that its disk is not full",
            local_detail=str(file),
        ) from error
    return file


def configuration_file(federation: Federation) -> Path:
    """Return where the front's configuration lies."""
    return federation.front / "nginx.conf"


def front_command(federation: Federation) -> list[str]:
    """Return the command that runs the front in the foreground.

    Raises:
        FrontError: nginx is not installed.
    """
    # Debian keeps it where only root looks by default.
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    program = shutil.which("nginx", path=search)
    if program is None:
        raise FrontError(
            "nginx is not installed",
            fix="install it, on Debian with `apt-get install nginx`, and start again",
        )
    folder = federation.front.resolve()
    return [program, "-e", "stderr", "-p", f"{folder}/", "-c", "nginx.conf"]


def check_front(federation: Federation) -> None:
    """Let nginx read its configuration and the certificate, as it would to start.

    Raises:
        FrontError: nginx is not installed, or does not accept them; its own words are the detail.
    """
    command = [*front_command(federation), "-t", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise FrontError(
            "nginx does not accept the front's configuration or its certificate",
            fix="see that tls/ holds front.crt, front.key and ca.crt, and that nginx is 1.20 "
            "or newer",
            local_detail=(done.stderr + done.stdout).strip(),
        )


def reload_front(federation: Federation) -> bool:
    """Let the running front take its configuration and certificate anew; no node is dropped.

    Requests that have begun are ended by the processes that had them. If nginx does not accept
    what it would read, the front goes on as it is.

    Returns:
        Whether a front was running.

    Raises:
        ConfigError: as `front_configuration` says.
        FrontError: as `write_front` and `check_front` say.
    """
    write_front(federation)
    check_front(federation)
    number = front_process(federation)
    if number is None:
        return False
    try:
        os.kill(number, signal.SIGHUP)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise FrontError(
            "the front runs under another user, and cannot be told to reload",
            fix="run this command as the user who runs `leukofed-server start`",
        ) from error
    return True


def front_process(federation: Federation) -> int | None:
    """Return the running front's process number; None if it does not run."""
    try:
        number = int((federation.front / "nginx.pid").read_text(encoding="ascii"))
        os.kill(number, 0)
    except PermissionError:
        pass  # another user's; it may well be the front
    except (OSError, ValueError):
        return None
    return number if _is_nginx(number) else None


def _as_header(key: str) -> str:
    """Return a key as Flower's node writes it into a header: PEM, in base64."""
    pem = load_ssh_public_key(key.encode()).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return b64encode(pem).decode("ascii")


def _is_nginx(number: int) -> bool:
    """Whether a process may be nginx: a front that was killed leaves a number others may get."""
    try:
        return b"nginx" in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()


def _worker_user(federation: Federation) -> str | None:
    """Return as whom nginx's workers run where root starts it: the owner of the folder.

    Nginx would take `nobody`, who can enter no folder of the federation.
    """
    if os.geteuid() != 0:
        return None
    try:
        owner = pwd.getpwuid(federation.path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return "root"
    return owner if re.fullmatch(r"[A-Za-z0-9_.-]+", owner) else "root"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
