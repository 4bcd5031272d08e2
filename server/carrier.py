"""Flower as the rounds need it: bytes to a node, bytes back, and patience with its errors."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import httpx
from flwr.app import DEFAULT_TTL, Message
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from google.protobuf.message import DecodeError

from common.errors import LeukofedError, RunStopped
from common.flower import MESSAGE_TYPE, describe, from_records, to_records
from common.wire import WireError, header_of
from server.node_keys import NodeKey, node_key

Result = TypeVar("Result")
# What Flower's pull can raise while it unpacks a message that a site has mangled.
UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, DecodeError, RecursionError, MemoryError,
)  # fmt: skip


Seal = Callable[[bytes], bytes]


def unsealed(data: bytes) -> bytes:
    """Leave a request as it is, for sites in this very process."""
    return data


class Undelivered(LeukofedError):  # noqa: N818 - reads as an outcome
    """Flower brings word that a message will get no reply; `passes`: the next one may."""

    def __init__(self, problem: str, *, fix: str, passes: bool) -> None:
        super().__init__(problem, fix=fix)
        self.passes = passes


class Carrier:
    """Carries bytes over a grid.

    Args:
        grid: Flower's, or the in-process one.
        seal: puts the coordinator's signature before a request.
        keys: the key under which each site was admitted, None where nodes have none.
        ttl_s: how long a message and its reply stay valid, in seconds; at least Flower's default.
        pauses_s: pauses before a failed call is made again, in seconds.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        ttl_s: float,
        pauses_s: Sequence[float],
        seal: Seal = unsealed,
        keys: Mapping[str, NodeKey] | None = None,
    ) -> None:
        self._grid = grid
        self._seal = seal
        self._keys = keys
        self._ttl_s = max(float(DEFAULT_TTL), ttl_s)
        self._pauses_s = tuple(pauses_s)

    def nodes(self) -> dict[str, list[int]]:
        """List the nodes that are connected, by the name under which they were admitted.

        Flower lets any number of nodes share a name; a node with another key than the site's is
        not that site.

        Raises:
            RunStopped: Flower cannot be reached; so for every call of a carrier.
        """
        found: dict[str, list[int]] = {}
        for node in self._patiently(lambda: list(self._grid.get_nodes())):
            if self._keys is None or self._is_admitted(node):
                found.setdefault(node.name, []).append(node.node_id)
        return found

    def push(self, node: int, group: str, data: bytes) -> str | None:
        """Seal a request and send it; return the message's id, or None if Flower did not take it.

        Args:
            node: Flower's number for the site.
            group: a label that the reply carries too.
            data: an encoded `common.wire.Request`.
        """
        sealed = self._seal(data)
        # The arrays mostly are the same for all sites: Flower then stores them once.
        head = len(sealed) - len(data) + len(header_of(data))
        ids = self._patiently(partial(self._push, node, group, sealed, head))
        return ids[0] if len(ids) == 1 and ids[0] else None

    def pull(self, key: str) -> bytes | None:
        """Return the bytes of the reply to a message, or None while there is none.

        Raises:
            Undelivered: no reply will come.
            WireError: a reply came that holds no bytes of ours.
        """
        messages = self._patiently(partial(self._pull, key))
        if not messages:
            return None
        if messages[0].has_error():
            found = describe(messages[0].error)
            raise Undelivered(f"no reply: {found.problem}", fix=found.fix, passes=found.passes)
        return from_records(messages[0])

    def _is_admitted(self, node: NodeInfo) -> bool:
        key = node_key(node.public_key)
        return key is not None and key == (self._keys or {}).get(node.name)

    def _push(self, node: int, group: str, data: bytes, head: int) -> list[str]:
        # Always a new message: pushed again under its old id, Flower would drop it.
        records = to_records(data, head)
        message = Message(records, node, MESSAGE_TYPE, group_id=group, ttl=self._ttl_s)
        return list(self._grid.push_messages([message]))

    def _pull(self, key: str) -> list[Message]:
        try:
            return list(self._grid.pull_messages([key]))
        except UNREADABLE as error:
            raise WireError(
                f"its reply cannot be unpacked ({type(error).__name__})",
                fix="compare the leukofed and flwr versions at both ends",
            ) from error

    def _patiently(self, call: Callable[[], Result]) -> Result:
        """Call, again after a pause if it fails: one HTTP error must not end a run."""
        for pause_s in self._pauses_s:
            try:
                return call()
            except httpx.HTTPError:
                time.sleep(pause_s)
        try:
            return call()
        except httpx.HTTPError as error:
            raise RunStopped(
                f"Flower failed {len(self._pauses_s) + 1} times in a row: {type(error).__name__}",
                fix="see that the SuperLink is running and has disk left, then resume the run",
            ) from error
