"""A grid whose nodes are carriers: the site's own Flower app, called with Flower's own message."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flwr.app import Context, Message, RecordDict

from client.app import app
from client.sockets import SOCKET_VARIABLE
from common.flower import from_records, to_records
from simulations.engines.inprocess import LoopbackGrid

Way = Callable[[bytes], bytes]
"""What becomes of a signed request between the coordinator and a carrier."""


class CarrierGrid(LoopbackGrid):
    """Delivers a request by calling `client.app` beside the worker that listens at a socket.

    Args:
        sockets: per site, its worker's socket.

    Attributes:
        way: changes signed requests, until it is set to None again.
        sent: every signed request that was handed to a carrier, oldest first.
    """

    def __init__(self, sockets: Mapping[str, Path]) -> None:
        super().__init__(dict.fromkeys(sockets, bytes))
        self._sockets = dict(enumerate(sockets.values(), start=1))
        self.way: Way | None = None
        self.sent: list[bytes] = []

    def _deliver(self, message: Message) -> Message | None:
        if self.way is not None:
            message.content = to_records(self.way(from_records(message)))
        self.sent.append(from_records(message))
        node = message.metadata.dst_node_id
        context = Context(1, node, {}, RecordDict(), {})
        with _environment(SOCKET_VARIABLE, str(self._sockets[node])):
            return app(message, context)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
