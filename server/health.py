"""Whether the SuperLink answers: by itself, and through the front as sites reach it."""

import http.client
import socket
import ssl
from pathlib import Path

from server.federation import Federation

_PATIENCE_S = 5.0


def front_answers(federation: Federation) -> bool:
    """Whether the SuperLink answers through the front, with a certificate that a site accepts."""
    settings = federation.settings
    return _is_healthy(federation.authority, settings.port, settings.hosts[0])


def link_answers(federation: Federation) -> bool:
    """Whether the SuperLink answers."""
    return _is_healthy(federation.authority, federation.settings.link_port, "localhost")


def _is_healthy(authority: Path, port: int, host: str) -> bool:
    try:
        context = ssl.create_default_context(cafile=authority)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            secured.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = http.client.HTTPResponse(secured)
            answer.begin()
            return answer.status == 200
    except (OSError, http.client.HTTPException, ValueError):
        return False
