"""Both sides in one process: a Flower Grid whose nodes are functions, without sockets."""

import logging
from collections.abc import Callable, Iterable, Mapping

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from common.flower import from_records, to_records

_LOG = logging.getLogger("leukofed")
Handle = Callable[[bytes], bytes]
Fault = Callable[[bytes], bytes | None]


class LoopbackGrid(Grid):
    """Delivers a request when its reply is pulled: one site computes at a time, in this thread.

    Args:
        nodes: per site, what turns a request's bytes into a reply's. If it raises, its reply is
            Flower's error with the exception's class name.
        faults: per site, what becomes of its reply on the way; None: it never arrives.
    """

    def __init__(
        self, nodes: Mapping[str, Handle], faults: Mapping[str, Fault] | None = None
    ) -> None:
        self._nodes = dict(enumerate(nodes.items(), start=1))
        self._faults = dict(faults or {})
        self._queue: dict[str, Message] = {}
        self._pushed = 0
        self._run = Run.create_empty(run_id=1)
        # The one private Flower name we touch: Message reads its sender's identity here.
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1

    def set_run(self, run: Run) -> None:
        """Set the run that `run` returns."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message; Flower's older name for its constructor."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """List the nodes' numbers."""
        return list(self._nodes)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """List the nodes, each named after its site."""
        return [
            NodeInfo(node_id=node, name=site, status="online")
            for node, (site, _) in self._nodes.items()
        ]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages and return their ids."""
        ids = []
        for message in messages:
            self._pushed += 1
            ids.append(f"message-{self._pushed}")
            self._queue[ids[-1]] = message
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Let the nodes asked by these messages work, and return the replies that arrive."""
        queued = [self._queue.pop(key) for key in message_ids if key in self._queue]
        return [reply for message in queued if (reply := self._deliver(message)) is not None]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Deliver messages and return the replies; `timeout` is not used."""
        return self.pull_messages(self.push_messages(messages))

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
