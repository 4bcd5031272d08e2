"""Both sides in one process: a Flower Grid whose nodes are functions, without sockets."""

import logging
from collections.abc import Callable, Iterable, Mapping

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from common.flower import from_records, to_records
from simulations.engines.nodes import NodeGrid

_LOG = logging.getLogger("leukofed")
Handle = Callable[[bytes], bytes]
Fault = Callable[[bytes], bytes | None]


class LoopbackGrid(NodeGrid):
    """Delivers a request when its reply is pulled: one site computes at a time, in this thread.

    Args:
        nodes: per site, what turns a request's bytes into a reply's. If it raises, its reply is
            Flower's error with the exception's class name.
        faults: per site, what becomes of its reply on the way; None: it never arrives.
    """

    def __init__(
        self, nodes: Mapping[str, Handle], faults: Mapping[str, Fault] | None = None
    ) -> None:
        super().__init__(nodes)
        self._nodes = dict(enumerate(nodes.items(), start=1))
        self._faults = dict(faults or {})

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Let the nodes asked by these messages work, and return the replies that arrive."""
        queued = [self._queue.pop(key) for key in message_ids if key in self._queue]
        return [reply for message in queued if (reply := self._deliver(message)) is not None]

    def _deliver(self, message: Message) -> Message | None:
        site, handle = self._nodes[message.metadata.dst_node_id]
        try:
            data: bytes | None = handle(from_records(message))
            if data is not None and site in self._faults:
                data = self._faults[site](data)
        except Exception as error:  # a node's outermost frame, as in the site's own app
            _LOG.exception("site %s failed; its reply is lost", site)
            failure = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(error).__name__)
            return Message(failure, reply_to=message)
        return None if data is None else Message(to_records(data), reply_to=message)
