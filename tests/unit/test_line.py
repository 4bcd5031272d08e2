"""The relay that stands in for a slow or broken line; nothing else may take its time."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.relay import Line, Relay

DELAY_S = 0.05


@contextmanager
def echo() -> Iterator[int]:
    """Serve a port that sends everything back."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(1 << 16):
                        connection.sendall(data)
                except OSError:
                    return

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def connected(relay: Relay) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as connection:
        yield connection


def received(connection: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        if not (data := connection.recv(1 << 16)):
            raise EOFError(f"{len(found)} of {size} bytes")
        found += data
    return bytes(found)


def until_silence(connection: socket.socket) -> bytes:
    found = bytearray()
    with suppress(TimeoutError):
        while True:
            found += connection.recv(1 << 16)
    return bytes(found)


def asked(connection: socket.socket, data: bytes) -> float:
    """Send, and wait for the echo; return the seconds that took."""
    began = time.monotonic()
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    assert received(connection, len(data)) == data
    sender.join()
    return time.monotonic() - began


def test_a_byte_takes_the_delay_each_way_and_a_connection_twice_that() -> None:
    with echo() as port, Relay(lambda: port, Line(DELAY_S)) as relay:
        with connected(relay) as connection:
            assert 4 * DELAY_S <= asked(connection, b"first") < 4 * DELAY_S + 0.5
            assert 2 * DELAY_S <= asked(connection, b"second") < 2 * DELAY_S + 0.5
        assert relay.traffic.turns == 2
        assert relay.traffic.connections == 1
        assert relay.traffic.up == relay.traffic.down == 11


@pytest.mark.parametrize("line", [Line(mbit_up=8.0), Line(mbit_down=8.0)])
def test_the_rate_is_that_of_the_line_whatever_the_number_of_connections(
    line: Line,
) -> None:
    data = bytes(range(256)) * 1000  # a quarter of a second at 10^6 bytes a second
    with (
        echo() as port,
        Relay(lambda: port, line) as relay,
        connected(relay) as one,
        connected(relay) as other,
    ):
        began = time.monotonic()
        threads = [threading.Thread(target=asked, args=(c, data)) for c in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
    assert 0.45 < seconds < 2.0


def test_without_limits_it_is_fast() -> None:
    with echo() as port, Relay(lambda: port) as relay, connected(relay) as connection:
        assert asked(connection, bytes(10**6)) < 1.0


def test_a_cut_loses_no_byte_of_a_connection_that_survives() -> None:
    data = bytes(range(256)) * 2000
    with (
        echo() as port,
        Relay(lambda: port, Line(0.01, mbit_up=16.0)) as relay,
        connected(relay) as connection,
    ):
        asked(connection, b"before")
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        found = received(connection, 10_000)
        relay.cut()
        connection.settimeout(0.3)
        found += until_silence(connection)
        assert len(found) < len(data)
        with connected(relay) as other:  # accepted, and silent
            other.sendall(b"hello")
            other.settimeout(0.2)
            with pytest.raises(TimeoutError):
                other.recv(1)
            relay.mend()
            other.settimeout(20)
            assert received(other, 5) == b"hello"
        connection.settimeout(20)
        found += received(connection, len(data) - len(found))
        sender.join()
    assert found == data


def test_a_line_that_refuses_ends_connections_and_can_be_mended() -> None:
    with echo() as port, Relay(lambda: port) as relay:
        with connected(relay) as connection:
            asked(connection, b"before")
            relay.refuse()
            with pytest.raises((ConnectionError, EOFError)):
                received(connection, 1)
        with pytest.raises(ConnectionRefusedError), connected(relay):
            pass
        relay.mend()
        with connected(relay) as connection:
            asked(connection, b"after")


def test_the_end_of_a_sender_is_passed_on_after_its_last_byte() -> None:
    with (
        echo() as port,
        Relay(lambda: port, Line(0.01)) as relay,
        connected(relay) as connection,
    ):
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        assert received(connection, 4) == b"last"
        assert connection.recv(1) == b""


def test_a_target_that_nobody_serves_ends_the_connection() -> None:
    with echo() as port:
        pass
    with (
        Relay(lambda: port) as relay,
        connected(relay) as connection,
        pytest.raises((ConnectionError, EOFError)),
    ):
        received(connection, 1)
