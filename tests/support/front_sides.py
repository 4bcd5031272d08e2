"""What lies on either side of a front: a small upstream in the SuperLink's place, and a site."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

from server.federation import Federation


class Link(BaseHTTPRequestHandler):
    """Stands where the SuperLink does, and tells what reached it."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(f"{self.path} {len(body)}")
        self._answer()

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def in_the_link_s_place(federation: Federation) -> Iterator[list[str]]:
    """What reaches the SuperLink's place; it shows the SuperLink's certificate."""
    Link.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", federation.settings.link_port), Link)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        federation.link_certificate, federation.link_certificate.with_suffix(".key")
    )
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Link.seen
    server.shutdown()
    thread.join()
    server.server_close()


def open_site(federation: Federation) -> httpx.Client:
    return httpx.Client(
        base_url=f"https://127.0.0.1:{federation.settings.port}",
        verify=ssl.create_default_context(cafile=federation.authority),
        trust_env=False,
    )


def answers(site: httpx.Client) -> bool:
    try:
        return site.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def refuses(site: httpx.Client) -> bool:
    try:
        return site.get("/docs").status_code == 403
    except httpx.HTTPError:
        return False


def open_socket(federation: Federation) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=federation.authority)
    plain = socket.create_connection(("127.0.0.1", federation.settings.port), timeout=10)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def shown(federation: Federation) -> bytes:
    with open_socket(federation) as site:
        found = site.getpeercert(binary_form=True)
    assert found is not None
    return found
