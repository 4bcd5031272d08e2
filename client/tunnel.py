"""The one way out of a site: a proxy on the loopback that connects to the coordinator alone.

The SuperNode is told to use it (`HTTPS_PROXY`). TLS passes through untouched, so the tunnel can
read nothing; it limits bandwidth, counts bytes, and knows when each end was heard last.
"""

import asyncio
import base64
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import SplitResult, unquote, urlsplit

from common.errors import LeukofedError
from common.plain_text import one_line

_LOG = logging.getLogger("leukofed.tunnel")
_LOOPBACK = "127.0.0.1"
_USER = "site"
_CHUNK = 16_384
_LONGEST_HEAD = 8_192
_HEAD_S = 10.0  # how long the head of a request may take to come
_CONNECT_S = 20.0
_BURST_S = 0.1  # bandwidth that was not used for so long may be used later
_STRANGERS_TOLD = 100  # so many refused addresses are logged, each once
_HEARD_FROM_TURN = 2  # what follows the first flight is TLS's own, even if the handshake fails

_LOOK = "check the address and the proxy in link/link.yaml, and the network"
_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Unreachable(LeukofedError):  # noqa: N818 - reads as an outcome
    """No connection to the coordinator; it may come back by itself."""


@dataclass(frozen=True)
class Traffic:
    """What has passed so far."""

    up: int = 0
    """Bytes to the coordinator, TLS included."""
    down: int = 0
    """Bytes from it."""
    called: float | None = None
    """When the SuperNode last called or sent, by `time.monotonic`; None: never."""
    heard: float | None = None
    """When the coordinator last answered, by `time.monotonic`; None: never."""
    trouble: str = ""
    """Why the coordinator cannot be reached; empty if the last attempt went well."""


class Tunnel:
    """A proxy for one address, at a free port of the loopback, from `start` to `close`.

    Other users of this machine can open a connection to the loopback; without the password in the
    tunnel's URL they get no further, and pass neither for the SuperNode nor for the coordinator.

    Args:
        address: the coordinator's front, `HOST:PORT`.
        proxy: the hospital's own HTTP proxy, `http://[USER:PASSWORD@]HOST:PORT`, if any.
        bandwidth_mbit: most bandwidth each way, in units of 10^6 bit/s; None: no limit.
    """

    def __init__(
        self, address: str, proxy: str | None = None, bandwidth_mbit: float | None = None
    ) -> None:
        self._socket = socket.create_server((_LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        self._password = secrets.token_urlsafe(24)
        self._address = address
        self._proxy = proxy
        self._up = _Bucket(bandwidth_mbit)
        self._down = _Bucket(bandwidth_mbit)
        self._called: float | None = None
        self._heard: float | None = None
        self._trouble = ""
        self._strangers: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tunnel", daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """What a process is given as its proxy, password and all."""
        return f"http://{_USER}:{self._password}@{_LOOPBACK}:{self.port}"

    @property
    def traffic(self) -> Traffic:
        """What has passed so far."""
        return Traffic(self._up.passed, self._down.passed, self._called, self._heard, self._trouble)

    def start(self) -> None:
        """Take connections."""
        self._thread.start()
        listening = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, sock=self._socket, limit=_LONGEST_HEAD), self._loop
        )
        self._server = listening.result()

    def close(self) -> None:
        """Cut every connection."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._socket.close()
        self._loop.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        while open_ones := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.sleep(0)  # one that never ran would not close what it was given
            for task in open_ones:
                task.cancel()
            await asyncio.gather(*open_ones, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the SuperNode's."""
        try:
            refused = await self._refusal(reader)
            if refused is not None:
                writer.write(_head(refused))
                return
            self._called = time.monotonic()
            try:
                far = await _connect(self._address, self._proxy)
            except Unreachable as error:
                self._tell_trouble(error.problem)
                writer.write(_head(HTTPStatus.BAD_GATEWAY))
                return
            self._tell_trouble("")
            writer.write(_head(HTTPStatus.OK))
            await self._carry((reader, writer), far)
        except (OSError, asyncio.CancelledError):
            pass  # either end went away, or the tunnel is closed
        finally:
            with suppress(OSError, asyncio.CancelledError):
                writer.close()
                await writer.wait_closed()

    async def _refusal(self, reader: asyncio.StreamReader) -> HTTPStatus | None:
        """Return why a request is refused; None if it is for the coordinator."""
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            first, *fields = head.decode("ascii").split("\r\n")
            method, target, _ = first.split(" ")
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return HTTPStatus.BAD_REQUEST
        if not any(map(self._admits, fields)):
            return HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        if method == "CONNECT" and target.lower() == self._address.lower():
            return None
        if target not in self._strangers and len(self._strangers) < _STRANGERS_TOLD:
            self._strangers.add(target)
            _LOG.warning("a connection to another address was refused: %s", one_line(target[:200]))
        return HTTPStatus.FORBIDDEN

    def _admits(self, field: str) -> bool:
        """Whether a line of a request's head holds the tunnel's password."""
        name, _, value = field.partition(":")
        return name.lower() == "proxy-authorization" and secrets.compare_digest(
            value.strip(), _basic(_USER, self._password)
        )

    async def _carry(self, near: "_Ends", far: "_Ends") -> None:
        turns = 0
        is_up = False  # which end spoke last

        def sent() -> None:
            nonlocal turns, is_up
            turns += not is_up
            is_up = True
            self._called = time.monotonic()

        def got() -> None:
            nonlocal is_up
            is_up = False
            if turns >= _HEARD_FROM_TURN:
                self._heard = time.monotonic()

        pumps = [
            asyncio.create_task(_pump(near[0], far[1], self._up, sent)),
            asyncio.create_task(_pump(far[0], near[1], self._down, got)),
        ]
        try:  # HTTP knows no half-closed connections: the first end to go ends both
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:  # the connection first: what waits below may itself be cut short by `close`
            far[1].transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _tell_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                _LOG.warning("%s", trouble)
            else:
                _LOG.info("the coordinator can be reached again")


class _Bucket:
    """Counts bytes one way, and lets them pass no faster than a rate."""

    def __init__(self, mbit: float | None) -> None:
        self.passed = 0
        self._seconds_each = 0.0 if mbit is None else 8 / (mbit * 1e6)
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Wait until so many bytes may pass."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now - _BURST_S) + size * self._seconds_each
        self.passed += size
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


async def _pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    bucket: _Bucket,
    tell: Callable[[], None],
) -> None:
    while chunk := await source.read(_CHUNK):
        tell()
        await bucket.take(len(chunk))
        sink.write(chunk)
        await sink.drain()


async def _connect(address: str, proxy: str | None) -> _Ends:
    """Open a connection to the coordinator, through the hospital's proxy if there is one."""
    who = "the coordinator" if proxy is None else "the hospital's proxy"
    way = urlsplit(f"//{address}" if proxy is None else proxy)
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(way.hostname, way.port)
            if proxy is not None:
                await _ask_proxy(reader, writer, address, way)
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        raise Unreachable(f"{who} cannot be reached: {_words(error)}", fix=_LOOK) from error
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return reader, writer


async def _ask_proxy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, proxy: SplitResult
) -> None:
    """Ask an HTTP proxy for a connection (RFC 9110, 9.3.6), with basic authentication."""
    credentials = ""
    if proxy.username is not None:
        pair = _basic(unquote(proxy.username), unquote(proxy.password or ""))
        credentials = f"Proxy-Authorization: {pair}\r\n"
    writer.write(f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{credentials}\r\n".encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if re.match(rb"HTTP/1\.\d 200\b", head) is None:
            code = re.match(rb"HTTP/1\.\d (\d{3})", head)
            raise Unreachable(_refused(int(code[1]) if code else None), fix=_LOOK)
    except BaseException:
        writer.transport.abort()
        raise


def _basic(user: str, password: str) -> str:
    """Return what proves a user to a proxy (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _refused(code: int | None) -> str:
    if code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "the hospital's proxy wants another user or password (407)"
    return f"the hospital's proxy does not connect to the coordinator ({code or 'no HTTP'})"


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name is not known here"
    number = error.errno if isinstance(error, OSError) else None
    return "the connection was cut" if number is None else os.strerror(number).lower()


def _head(status: HTTPStatus) -> bytes:
    length = "" if status is HTTPStatus.OK else "Content-Length: 0\r\n"
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{length}\r\n".encode()
