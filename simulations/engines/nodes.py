"""What every engine's Flower Grid has: nodes named after the sites, and messages in a queue."""

from abc import abstractmethod
from collections.abc import Iterable

from flwr.app import ArrayRecord, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from common.flower import BLOCK, RECORD


class NodeGrid(Grid):
    """A Flower Grid of one process: nodes are numbered from 1, each named after its site.

    An engine adds `pull_messages`, and takes what `push_messages` has queued.

    Args:
        sites: their names.
    """

    def __init__(self, sites: Iterable[str]) -> None:
        self._sites = dict(enumerate(sites, start=1))
        self._queue: dict[str, Message] = {}
        self._pushed = 0
        self._block = b""
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
        return list(self._sites)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """List the nodes, each named after its site."""
        return [
            NodeInfo(node_id=node, name=site, status="online") for node, site in self._sites.items()
        ]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages and return their ids."""
        ids = []
        for message in messages:
            self._pushed += 1
            ids.append(f"message-{self._pushed}")
            self._share_block(message)
            self._queue[ids[-1]] = message
        return ids

    @abstractmethod
    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies to these messages that have arrived."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Deliver messages and return the replies; `timeout` is not used."""
        return self.pull_messages(self.push_messages(messages))

    def _share_block(self, message: Message) -> None:
        """Keep the arrays that all sites of an exchange are sent once, as Flower itself does."""
        record = message.content.get(RECORD)
        if isinstance(record, ArrayRecord) and BLOCK in record:
            if record[BLOCK].data == self._block:
                record[BLOCK].data = self._block
            else:
                self._block = record[BLOCK].data
