"""The SuperNode's pace: in haste while messages come, and no busier than Flower's own else."""

import inspect
import re
import threading
import time
from typing import Any, NoReturn

import pytest
from flwr.app import Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal as loop
from flwr.supernode.nodestate import NodeState, NodeStateFactory

from client.supernode import ANSWER_S, EAGER_S, QUICK_S, Pace, Turns, keep_turns, quicken


def test_it_is_as_slow_as_flowers_own_until_a_message_came() -> None:
    assert Pace().seconds(3.0, now=0.0) == 3.0


def test_it_is_in_haste_for_a_while_after_a_message() -> None:
    pace = Pace()
    assert pace.seconds(0.5, now=100.0) == ANSWER_S  # a reply is waited for
    assert pace.seconds(3.0, now=101.0) == QUICK_S
    assert pace.seconds(3.0, now=99.9 + EAGER_S) == QUICK_S
    assert pace.seconds(3.0, now=100.0 + EAGER_S) == 3.0
    pace.seconds(0.5, now=500.0)
    assert pace.seconds(3.0, now=501.0) == QUICK_S


def test_it_never_waits_longer_than_flower_would() -> None:
    pace = Pace()
    assert pace.seconds(0.01, now=0.0) == 0.01
    assert pace.seconds(1.5, now=1e6) == 1.5


def test_flowers_loop_sleeps_by_the_clock_that_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It tells of a new version of Flower whose loop sleeps otherwise: look at it, then here."""
    slept = re.findall(r"time\.sleep\(([\d.]+)\)", inspect.getsource(loop))
    assert slept == ["3", "0.5", "0.5"]
    monkeypatch.setattr(loop, "time", time)
    assert quicken()
    clock = vars(loop)["time"]
    assert clock.sleep != time.sleep
    assert clock.monotonic is time.monotonic
    assert not quicken()  # it is no longer the clock that Flower came with


STOPPED, RUNNING = 1, 2
FLOWERS = loop._pull_and_store_message, loop._push_messages


class Node:
    """A SuperNode's state as Flower keeps it, and what its main loop hears from the SuperLink."""

    def __init__(self) -> None:
        factory = ObjectStoreFactory()
        self.store = factory.store()
        self.state: NodeState = NodeStateFactory(factory).state()
        self.state.set_node_id(7)
        for run in (STOPPED, RUNNING):
            self.state.store_run(Run.create_empty(run))
        self.sent: list[int] = []

    def receive(self, pull: Any, run: int, ended_at: str = "") -> Message:
        """Receive a message of a run, which may end in one of the calls."""
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, 1, 1
        message = Message(RecordDict(), dst_node_id=7, message_type="query")
        message.metadata.__dict__["_message_id"] = message.object_id
        objects = get_all_nested_objects(message)
        calls = {
            "pull_object": lambda run, name: objects[name].deflate(),
            "confirm_message_received": lambda run, message: None,
        }
        if ended_at:
            calls[ended_at] = _ended
        found = pull(
            state=self.state, object_store=self.store, node_config={},
            receive=lambda: (message, get_object_tree(message)),
            get_run=_unasked, get_fab=_unasked, trusted_entities=None, **calls,
        )  # fmt: skip
        assert found == (None if ended_at else run)
        return message

    def work(self) -> list[Message]:
        """Take the messages that are there, as a ClientApp would."""
        return list(self.state.get_messages_legacy(is_reply=False))

    def answer(self, message: Message) -> None:
        """Reply to a message, as a ClientApp does."""
        reply = Message(RecordDict(), reply_to=message)
        reply.metadata.__dict__["_message_id"] = reply.object_id
        self.store.preregister(reply.metadata.run_id, get_object_tree(reply))
        for name, one in get_all_nested_objects(reply).items():
            self.store.put(name, one.deflate())
        self.state.record_message_processing_start(message.metadata.message_id)
        self.state.record_message_processing_end(message.metadata.message_id)
        self.state.store_message(reply)

    def push(self, push: Any) -> None:
        """Send what is answered."""
        push(
            state=self.state, object_store=self.store, send=self._send,
            push_object=lambda run, session, name, content: None,
        )  # fmt: skip

    def _send(self, reply: Message, tree: object, seconds: float) -> tuple[set[str], str]:
        self.sent.append(reply.metadata.run_id)
        return set(), ""


def _ended(*_: object) -> NoReturn:
    raise RunNotRunningException


def _unasked(*_: object) -> NoReturn:
    raise AssertionError("the run is known already")


@pytest.mark.parametrize("ended_at", ["pull_object", "confirm_message_received"])
def test_a_message_whose_run_ends_while_it_comes_leaves_nothing(ended_at: str) -> None:
    node = Node()
    node.receive(Turns(*FLOWERS).pull, STOPPED, ended_at)
    assert node.work() == []
    assert node.state.get_tasks(statuses=["pending", "starting", "running"]) == []


def test_flowers_own_loop_leaves_it_there() -> None:
    """It tells of a new version of Flower that mended this: then `Turns` may go."""
    node = Node()
    node.receive(FLOWERS[0], STOPPED, "confirm_message_received")
    assert len(node.work()) == 1


def test_a_reply_of_another_run_is_not_taken_for_that_of_the_last_message() -> None:
    node, turns = Node(), Turns(*FLOWERS)
    node.answer(node.receive(turns.pull, STOPPED))  # it comes when the run has ended
    message = node.receive(turns.pull, RUNNING)
    waiting = threading.Thread(target=node.push, args=(turns.push,))
    waiting.start()
    waiting.join(0.7)
    assert waiting.is_alive()
    assert node.sent == []
    node.answer(message)
    waiting.join(10)
    assert node.sent == [RUNNING]


def test_flowers_loop_receives_and_answers_by_what_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, function in zip(("_pull_and_store_message", "_push_messages"), FLOWERS, strict=True):
        assert f"{name}(" in inspect.getsource(loop.start_client_internal)
        monkeypatch.setattr(loop, name, function)
    assert keep_turns()
    assert loop._pull_and_store_message != FLOWERS[0]
    assert loop._push_messages != FLOWERS[1]
