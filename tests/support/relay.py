"""A slow and breakable line between two parties: a relay of TCP connections, in a thread.

What it does to the bytes is what a line does: they take time, they come no faster than its rate,
they stop, they go on. It does not lose or reorder packets, since it stands above TCP: the parties'
own congestion control sees the loopback, and each connection begins at the full rate.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from tests.support.processes import free_port

_PIECE = 16 * 1024
_QUEUE_S = 0.2  # a sender is held up when its bytes would wait longer than this for the line
_LONG_S = 30.0
State = Literal["open", "silent", "refusing"]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Line:
    """What a line does to bytes."""

    delay_s: float = 0.0
    """How long a byte takes one way, in seconds; to connect takes two ways."""
    mbit_up: float = 0.0
    """Most that goes from who connects to the target, in 10^6 bit/s; 0: no limit."""
    mbit_down: float = 0.0
    """The same of the other way."""


@dataclass
class Way:
    """One way of the line, shared by all connections; how much it has carried."""

    rate: float  # bytes a second; 0: as fast as the machine is
    carried: int = 0
    free_at: float = 0.0  # when the last byte that was taken in has left, by the loop's clock

    def leaves_at(self, size: int, now: float) -> float:
        """Take in a piece; return when its last byte has left."""
        self.carried += size
        start = max(now, self.free_at)
        self.free_at = start + (size / self.rate if self.rate else 0.0)
        return self.free_at


@dataclass(frozen=True)
class Traffic:
    """What a relay has carried so far.

    A turn is what is sent up after something came down: a request, where each waits for its
    answer, or a part of a handshake.
    """

    up: int  # bytes
    down: int  # bytes
    turns: int
    connections: int

    def __add__(self, other: "Traffic") -> "Traffic":
        """Return what two lines have carried, or one line at two times."""
        return Traffic(
            self.up + other.up,
            self.down + other.down,
            self.turns + other.turns,
            self.connections + other.connections,
        )

    def __sub__(self, before: "Traffic") -> "Traffic":
        """Return what was carried since."""
        return Traffic(
            self.up - before.up,
            self.down - before.down,
            self.turns - before.turns,
            self.connections - before.connections,
        )


@dataclass(eq=False)
class _Connection:
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def abort(self) -> None:
        for task in self.tasks:
            task.cancel()
        for writer in (self.near, self.far):
            if writer is not None:
                writer.transport.abort()


class Relay:
    """Listens at a port of the loopback and forwards to another, while it is entered.

    Args:
        target: tells the port that is forwarded to, whenever a connection is made.
        line: what it is like.
    """

    def __init__(self, target: Callable[[], int], line: Line | None = None) -> None:
        line = line or Line()
        self.port = free_port()
        self.delay_s = line.delay_s
        self._target = target
        self._up, self._down = Way(line.mbit_up * 125e3), Way(line.mbit_down * 125e3)
        self._turns = self._made = 0
        self._state: State = "open"
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._is_open = asyncio.Event()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._set("open"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._set("refusing"))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Forward nothing: connections stay and are silent, new ones are accepted and silent."""
        self._call(self._set("silent"))

    def refuse(self) -> None:
        """End all connections, and refuse new ones."""
        self._call(self._set("refusing"))

    def mend(self) -> None:
        """Forward again; what was on its way when the line was cut arrives now."""
        self._call(self._set("open"))

    @property
    def traffic(self) -> Traffic:
        """What it has carried so far."""
        return Traffic(self._up.carried, self._down.carried, self._turns, self._made)

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LONG_S)

    async def _set(self, state: State) -> None:
        self._state = state
        if state == "open":
            self._is_open.set()
        else:
            self._is_open.clear()
        if state == "refusing":
            if self._server is not None:
                self._server.close()
                self._server = None
            for connection in list(self._connections):
                connection.abort()
            while self._connections:
                await asyncio.sleep(0.01)
        elif self._server is None:
            self._server = await asyncio.start_server(
                self._accept, "127.0.0.1", self.port, limit=4 * _PIECE
            )

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self._connections.add(connection)
        self._made += 1
        task = self._loop.create_task(self._serve(connection, reader))
        task.add_done_callback(lambda _: self._connections.discard(connection))
        connection.tasks.append(task)

    async def _serve(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        try:
            await asyncio.sleep(2 * self.delay_s)
            await self._is_open.wait()
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target())
            connection.far = far
            last = ["down"]
            ways = [
                self._loop.create_task(self._carry(reader, far, self._up, last, "up")),
                self._loop.create_task(
                    self._carry(far_reader, connection.near, self._down, last, "down")
                ),
            ]
            connection.tasks += ways
            await asyncio.gather(*ways)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: Way,
        last: list[str],
        name: str,
    ) -> None:
        """Carry one way of a connection until its sender has ended it."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivery = self._loop.create_task(self._deliver(under_way, writer))
        try:
            while data := await reader.read(_PIECE):
                if name == "up" and last[0] == "down":
                    self._turns += 1
                last[0] = name
                now = self._loop.time()
                leaves = way.leaves_at(len(data), now)
                under_way.put_nowait((leaves + self.delay_s, data))
                if leaves - now > _QUEUE_S:
                    await asyncio.sleep(leaves - now - _QUEUE_S)
                await self._is_open.wait()
            under_way.put_nowait((self._loop.time() + self.delay_s, b""))
            await delivery
        finally:
            delivery.cancel()

    async def _deliver(
        self, under_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await under_way.get()
            if (wait_s := due - self._loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self._is_open.wait()
            if not data:
                with suppress(OSError, RuntimeError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
