"""A connection to the coordinator's front, directly or through a proxy, and what answers there."""

import base64
import http.client
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from common.errors import LeukofedError

PATIENCE_S = 10.0
_LONGEST_ANSWER = 1 << 16  # bytes of a proxy's words


class Unreachable(LeukofedError):  # noqa: N818 - reads as a fact
    """No connection came about."""


class NotTls(LeukofedError):  # noqa: N818 - as above
    """Whoever answers does not speak TLS, or not with us."""


@dataclass(frozen=True)
class Address:
    """Where the front is, and the proxy that leads there, if there is one."""

    host: str
    port: int
    proxy: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Health:
    """What the front answered to `GET /health`."""

    status: int
    skew_s: float | None  # of this machine's clock, ahead of the front's; None: it told no time


def parsed(address: str, proxy: str | None) -> Address:
    """Read `HOST:PORT`; `client.site_folder.LinkSettings` vouches for its form."""
    host, _, port = address.rpartition(":")
    return Address(host.strip("[]"), int(port), proxy)


def connect(address: Address) -> socket.socket:
    """Open a connection; the caller closes it.

    Raises:
        Unreachable: the name is unknown, nobody listens, or the proxy refuses.
    """
    if address.proxy is None:
        return _direct(address.host, address.port, str(address))
    proxy = urlsplit(address.proxy)
    host, port = proxy.hostname or "", proxy.port or 3128
    made = _direct(host, port, f"the proxy {host}:{port}")
    try:
        _ask_proxy(made, address, proxy.username, proxy.password)
    except BaseException:
        made.close()
        raise
    return made


def shown_certificate(address: Address) -> x509.Certificate:
    """Return the certificate that is shown there, whoever issued it.

    Raises:
        Unreachable: as `connect` says.
        NotTls: no TLS is spoken there.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with closing(connect(address)) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=address.host) as wrapped:
                shown = wrapped.getpeercert(binary_form=True)
        except (OSError, ValueError) as error:  # ValueError: no such server name can be
            raise NotTls(
                f"what answers at {address} does not speak TLS",
                fix="ask the coordinator whether this is the front's address",
                local_detail=str(error),
            ) from error
    return x509.load_der_x509_certificate(shown or b"")


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Say whether an authority's key signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def health(address: Address, authority: Path) -> Health:
    """Ask the front how it is, over TLS that the federation's root certificate vouches for.

    Raises:
        Unreachable: as `connect` says, or no answer came.
        NotTls: the certificate is not trusted; `local_detail` says why.
    """
    context = ssl.create_default_context(cafile=str(authority))
    with closing(connect(address)) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=address.host) as wrapped:
                began = time()
                text = f"GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
                wrapped.sendall(text.encode("ascii"))
                answer = http.client.HTTPResponse(wrapped, method="GET")
                answer.begin()
                told = answer.getheader("Date")
        except ssl.SSLCertVerificationError as error:
            raise NotTls(
                f"the certificate at {address} is not trusted: {error.verify_message}",
                fix="tell the coordinator",
                local_detail=error.verify_message,
            ) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unreachable(
                f"the front at {address} took the connection and gave no answer",
                fix="ask the coordinator whether the front is running",
                local_detail=f"{type(error).__name__}: {error}",
            ) from error
    return Health(answer.status, _skew(told, (began + time()) / 2))


def _skew(told: str | None, here: float) -> float | None:
    if told is None:
        return None
    try:
        return here - parsedate_to_datetime(told).timestamp()
    except ValueError:
        return None


def _direct(host: str, port: int, name: str) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=PATIENCE_S)
    except socket.gaierror as error:
        raise Unreachable(
            f"the name {host} is not known here",
            fix="compare it with the kit; ask your network department to let this machine look it "
            "up, or put it into /etc/hosts",
            local_detail=str(error),
        ) from error
    except OSError as error:
        why = "no answer came" if isinstance(error, TimeoutError) else str(error.strerror or error)
        raise Unreachable(
            f"{name} cannot be reached: {why}",
            fix=f"ask your network department to let this machine open TCP connections to {host}, "
            f"port {port}; if it must use a proxy, set `proxy` in link/link.yaml",
            local_detail=type(error).__name__,
        ) from error


def _ask_proxy(
    made: socket.socket, address: Address, user: str | None, password: str | None
) -> None:
    """Have a proxy connect us through (RFC 9110, section 9.3.6)."""
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    answer = b""
    try:
        made.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_ANSWER:
            some = made.recv(1)  # what follows the empty line is not the proxy's
            if not some:
                break
            answer += some
    except OSError as error:
        raise Unreachable(
            "the proxy took the connection and gave no answer",
            fix="compare `proxy` in link/link.yaml with what your network department says",
            local_detail=f"{type(error).__name__}: {error}",
        ) from error
    words = answer.partition(b"\r\n")[0].decode("latin-1").split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1."):
        raise Unreachable(
            "what answers at the proxy's address is no HTTP proxy",
            fix="correct `proxy` in link/link.yaml",
        )
    if not words[1].startswith("2"):
        needs = (
            "the proxy wants a name and a password: put them into `proxy` in link/link.yaml, as "
        )
        raise Unreachable(
            f"the proxy does not let this machine through to {address}: it answers {words[1]}",
            fix=f"{needs}http://USER:PASSWORD@HOST:PORT"
            if words[1] == "407"
            else f"ask your network department to let this machine through to {address}",
        )
