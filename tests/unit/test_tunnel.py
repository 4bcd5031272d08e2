"""The tunnel: one address and no other, counted, limited, and through a hospital's own proxy."""

import base64
import gc
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from client.tunnel import Tunnel
from tests.support.processes import free_port, wait_until


class Listener:
    """A small server on the loopback: `answer` is called with every connection."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.connections = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self.answer(connection)

    def answer(self, connection: socket.socket) -> None:
        """Echo."""
        while data := connection.recv(65536):
            connection.sendall(data)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class HospitalProxy(Listener):
    """An HTTP proxy of a hospital's network, with a user and a password."""

    wanted = f"Proxy-Authorization: Basic {base64.b64encode(b'ward 7:a@b').decode()}\r\n"

    def answer(self, connection: socket.socket) -> None:
        head = read_head(connection)
        if self.wanted not in head:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = head.split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            pump = threading.Thread(target=copy, args=(far, connection), daemon=True)
            pump.start()
            copy(connection, far)
            far.shutdown(socket.SHUT_RDWR)
            pump.join()


def copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


def read_head(connection: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
        head += byte
    return head.decode()


def connect(
    tunnel: Tunnel, target: str, method: str = "CONNECT", user: str = ""
) -> tuple[socket.socket, str]:
    """Return a connection through the tunnel and the head of what it answered."""
    pair = user or urlsplit(tunnel.url).netloc.rpartition("@")[0]
    shown = f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}"
    connection = socket.create_connection(("127.0.0.1", tunnel.port), timeout=10)
    connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: {target}\r\n{shown}\r\n\r\n".encode())
    return connection, read_head(connection)


def status(tunnel: Tunnel, target: str, method: str = "CONNECT") -> str:
    connection, head = connect(tunnel, target, method)
    connection.close()
    return head.split()[1]


def exchange(connection: socket.socket, data: bytes) -> None:
    """Send something and read its echo."""
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    found = b""
    while len(found) < len(data):
        found += connection.recv(65536)
    sender.join()
    assert found == data


@pytest.fixture
def at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def coordinator(at_end: ExitStack) -> Listener:
    listener = Listener()
    at_end.callback(listener.close)
    return listener


def opened(at_end: ExitStack, *arguments: object) -> Tunnel:
    tunnel = Tunnel(*arguments)  # type: ignore[arg-type]
    at_end.callback(tunnel.close)
    tunnel.start()
    return tunnel


def test_bytes_pass_and_are_counted(at_end: ExitStack, coordinator: Listener) -> None:
    tunnel = opened(at_end, coordinator.address)
    connection, head = connect(tunnel, coordinator.address)
    with connection:
        assert head.startswith("HTTP/1.1 200 ")
        exchange(connection, bytes(range(256)) * 1000)
    assert (tunnel.traffic.up, tunnel.traffic.down) == (256_000, 256_000)


def test_no_other_address_can_be_reached(
    at_end: ExitStack, coordinator: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    other = Listener()
    at_end.callback(other.close)
    tunnel = opened(at_end, coordinator.address)
    assert status(tunnel, other.address) == "403"
    assert status(tunnel, other.address) == "403"
    assert status(tunnel, f"localhost:{coordinator.port}") == "403"
    assert status(tunnel, f"http://{coordinator.address}/", "GET") == "403"
    assert status(tunnel, "nonsense with spaces") == "400"
    assert (other.connections, coordinator.connections) == (0, 0)
    assert caplog.text.count(f"a connection to another address was refused: {other.address}") == 1
    assert tunnel.traffic.called is None


def test_another_user_of_this_machine_cannot_use_it(
    at_end: ExitStack, coordinator: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    tunnel = opened(at_end, coordinator.address)
    connection, head = connect(tunnel, coordinator.address, user="site:guessed")
    connection.close()
    assert head.startswith("HTTP/1.1 407 ")
    assert coordinator.connections == 0
    assert (tunnel.traffic.called, caplog.text) == (None, "")
    assert status(tunnel, "x\x1b[2J\nwell:1") == "403"
    assert "was refused: x\\x1b[2J well:1" in caplog.text


def test_who_was_heard_and_when(at_end: ExitStack, coordinator: Listener) -> None:
    """A handshake that the site gives up is no answer, though bytes come down in it."""
    tunnel = opened(at_end, coordinator.address)
    connection, _ = connect(tunnel, coordinator.address)
    with connection:
        exchange(connection, b"hello")
        assert tunnel.traffic.called is not None
        assert tunnel.traffic.heard is None
        exchange(connection, b"a request")
        assert tunnel.traffic.heard is not None


def test_bandwidth_is_limited_each_way(at_end: ExitStack, coordinator: Listener) -> None:
    tunnel = opened(at_end, coordinator.address, None, 8.0)  # 1 MB/s
    connection, _ = connect(tunnel, coordinator.address)
    began = time.monotonic()
    with connection:
        exchange(connection, bytes(700_000))
    seconds = time.monotonic() - began
    assert 0.55 < seconds < 3.0  # 0.7 s, less what a burst may use; both ways at once


def test_a_coordinator_that_is_away(at_end: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    tunnel = opened(at_end, address := f"127.0.0.1:{free_port()}")
    assert [status(tunnel, address) for _ in range(2)] == ["502", "502"]
    assert caplog.text.count("the coordinator cannot be reached") == 1
    assert "cannot be reached" in tunnel.traffic.trouble
    assert tunnel.traffic.called is not None  # the SuperNode lives, and tries


def test_through_a_proxy_of_the_hospital(at_end: ExitStack, coordinator: Listener) -> None:
    proxy = HospitalProxy()
    at_end.callback(proxy.close)
    tunnel = opened(at_end, coordinator.address, f"http://ward%207:a%40b@{proxy.address}")
    connection, _ = connect(tunnel, coordinator.address)
    with connection:
        exchange(connection, b"through two proxies")
    assert (proxy.connections, coordinator.connections) == (1, 1)


def test_a_proxy_that_wants_another_password(
    at_end: ExitStack, coordinator: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = HospitalProxy()
    at_end.callback(proxy.close)
    tunnel = opened(at_end, coordinator.address, f"http://ward:secret@{proxy.address}")
    assert status(tunnel, coordinator.address) == "502"
    assert tunnel.traffic.trouble == "the hospital's proxy wants another user or password (407)"
    assert "secret" not in caplog.text


def test_when_one_end_goes_the_other_is_closed(at_end: ExitStack, coordinator: Listener) -> None:
    tunnel = opened(at_end, coordinator.address)
    connection, _ = connect(tunnel, coordinator.address)
    with connection:
        exchange(connection, b"hello")
        coordinator.close()
        assert connection.recv(1) == b""


def test_a_close_cuts_what_is_open(at_end: ExitStack, coordinator: Listener) -> None:
    tunnel = Tunnel(coordinator.address)
    tunnel.start()
    connection, _ = connect(tunnel, coordinator.address)
    with connection:
        exchange(connection, b"hello")
        tunnel.close()
        wait_until(lambda: is_closed(connection), 5, "the end of the connection")


def test_a_close_that_meets_other_ends_leaves_nothing_open(
    at_end: ExitStack, coordinator: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that were just ended are being taken down when the tunnel is closed."""
    left_open: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: left_open.append(str(told.exc_value)))
    for _ in range(20):
        tunnel = opened(at_end, coordinator.address)
        connections = [connect(tunnel, coordinator.address)[0] for _ in range(8)]
        for connection in connections:
            exchange(connection, b"hello")
        for connection in connections:
            connection.close()
        tunnel.close()
        gc.collect()
    assert left_open == []


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
