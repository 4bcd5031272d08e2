"""Servers on the loopback for what reaches out: a front that speaks TLS, and an HTTP proxy."""

import http.server
import socket
import socketserver
import ssl
import threading
import time
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PATIENCE_S = 10.0


class _Serving:
    """A server in threads of its own, for as long as a `with` statement lasts."""

    def __init__(self, server: socketserver.BaseServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        address: Any = self._server.server_address
        return int(address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_PATIENCE_S)


class Front(_Serving):
    """Answers `GET /health` over TLS, as a front with a SuperLink behind it does.

    Args:
        certificates: holds `server.crt` and `server.key`; None: it speaks plain HTTP.
        status: what it answers.
        clock_s: how far its clock is ahead; None: it tells no time.
        host: where it listens.
    """

    def __init__(
        self,
        certificates: Path | None,
        *,
        status: int = 200,
        clock_s: float | None = 0.0,
        host: str = "127.0.0.1",
    ) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = _PATIENCE_S

            def do_GET(self) -> None:
                self.send_response_only(status if self.path == "/health" else 403)
                if clock_s is not None:
                    self.send_header("Date", formatdate(time.time() + clock_s, usegmt=True))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                if certificates is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(
                        certificates / "server.crt", certificates / "server.key"
                    )
                    try:
                        request = context.wrap_socket(request, server_side=True)
                    except OSError:  # the other side did not like the certificate
                        return
                with request:
                    super().finish_request(request, client_address)

            def handle_error(self, *_: object) -> None:
                """Say nothing: those who only look hang up."""

        super().__init__(Server((host, 0), Handler))


class ConnectProxy(_Serving):
    """An HTTP proxy that connects through.

    Args:
        refuses: the status with which it refuses; 0: it lets through.
        diverts_to: a port to which it leads whatever is asked for, as one that intercepts does.
        talks: whether it answers as a proxy at all.
    """

    def __init__(self, *, refuses: int = 0, diverts_to: int = 0, talks: bool = True) -> None:
        self.asked: list[bytes] = []
        asked = self.asked

        class Handler(socketserver.StreamRequestHandler):
            timeout = _PATIENCE_S

            def handle(self) -> None:
                head = b""
                while (line := self.rfile.readline()).strip():
                    head += line
                asked.append(head)
                if not talks:
                    self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
                    return
                if refuses:
                    self.wfile.write(b"HTTP/1.1 %d No\r\n\r\n" % refuses)
                    return
                host, _, port = head.split()[1].decode().rpartition(":")
                wanted = ("127.0.0.1", diverts_to) if diverts_to else (host, int(port))
                with socket.create_connection(wanted, _PATIENCE_S) as far:
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_pour, args=(far, self.connection))
                    back.start()
                    _pour(self.connection, far)
                    back.join(_PATIENCE_S)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Say nothing: those who only look hang up."""

        super().__init__(Server(("127.0.0.1", 0), Handler))


def _pour(source: socket.socket, drain: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            drain.sendall(data)
        drain.shutdown(socket.SHUT_WR)
    except OSError:
        pass
