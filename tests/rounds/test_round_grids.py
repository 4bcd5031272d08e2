"""Rounds over grids that are slow, fail, or hand on what is no reply."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import httpx
import pytest
from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo

from common.errors import RunStopped
from simulations.engines.inprocess import Handle, LoopbackGrid
from tests.support.round_bench import (
    EXAMPLES,
    SITES,
    Bench,
    Site,
)


class SlowGrid(LoopbackGrid):
    """One site's replies are held back until they are released."""

    slow = "north"
    released = False

    def __init__(self, nodes: Mapping[str, Handle]) -> None:
        super().__init__(nodes)
        self.held: set[str] = set()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = list(messages)
        ids = list(super().push_messages(pushed))
        slow = {n.node_id for n in self.get_nodes() if n.name == self.slow}
        self.held |= {
            key for key, m in zip(ids, pushed, strict=True) if m.metadata.dst_node_id in slow
        }
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return super().pull_messages(
            key for key in message_ids if self.released or key not in self.held
        )


def test_a_late_reply_does_not_count_and_its_site_is_left_alone_meanwhile(tmp_path: Path) -> None:
    sites = {name: Site(name) for name in SITES}
    grid = SlowGrid(sites)
    bench = Bench(tmp_path, grid=grid)
    assert bench.run() == ["east", "south"]
    assert bench.run(round=2) == ["east", "south"]
    assert "still busy with fusion, round 1" in bench.losses["north"][1]
    assert len(grid.held) == 1
    grid.released = True
    before = bench.mean.examples
    assert bench.run(round=3) == list(SITES)
    assert bench.mean.examples - before == sum(EXAMPLES.values())
    (late,) = bench.events("late")
    assert (late["site"], late["round"]) == ("north", 1)


class LateJoinGrid(LoopbackGrid):
    """A site is connected only from the third look on; another name is carried twice."""

    looks = 0

    def get_nodes(self) -> Iterable[NodeInfo]:
        self.looks += 1
        nodes = list(super().get_nodes())
        absent = "north" if self.looks < 3 else ""
        return [n for n in nodes if n.name != absent] + [NodeInfo(node_id=99, name="south")]


def test_a_site_that_connects_in_time_is_asked_and_a_doubtful_name_never(tmp_path: Path) -> None:
    grid = LateJoinGrid({name: Site(name) for name in SITES})
    bench = Bench(tmp_path, grid=grid, deadline_s=5.0)
    assert bench.run() == ["east", "north"]
    assert bench.losses == {"south": ("missing", "2 nodes carry its name")}


def test_an_absent_site_does_not_hold_up_a_quorum(tmp_path: Path) -> None:
    bench = Bench(tmp_path, nodes={n: Site(n) for n in ("east", "south")}, deadline_s=3600.0)
    assert bench.run() == ["east", "south"]
    assert bench.losses == {"north": ("missing", "it is not connected")}


class FailingGrid(LoopbackGrid):
    """Every n-th call raises, as one HTTP error of a SuperLink does."""

    def __init__(self, nodes: Mapping[str, Handle], every: int) -> None:
        super().__init__(nodes)
        self.every, self.calls = every, 0

    def _fail(self) -> None:
        self.calls += 1
        if self.calls % self.every == 0:
            raise httpx.ConnectError("refused")

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        self._fail()
        return super().push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self._fail()
        return super().pull_messages(message_ids)


def test_a_failed_call_to_flower_is_made_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grid=FailingGrid({n: Site(n) for n in SITES}, every=2))
    assert bench.run() == list(SITES)
    assert bench.losses == {}


def test_a_superlink_that_stays_away_stops_the_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grid=FailingGrid({n: Site(n) for n in SITES}, every=1))
    with pytest.raises(RunStopped, match="3 times in a row: ConnectError"):
        bench.run()


class PickyGrid(LoopbackGrid):
    """Takes no message to one node, as a SuperLink that has just lost it."""

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = list(messages)
        return [] if pushed[0].metadata.dst_node_id == 2 else super().push_messages(pushed)


def test_a_request_that_flower_does_not_take_costs_only_its_site(tmp_path: Path) -> None:
    bench = Bench(tmp_path, grid=PickyGrid({n: Site(n) for n in SITES}))
    assert bench.run() == ["east", "south"]
    assert bench.losses == {"north": ("missing", "Flower did not take the request")}


class ForeignGrid(LoopbackGrid):
    """What one node sends back is not ours, or cannot be unpacked at all."""

    def __init__(self, nodes: Mapping[str, Handle], spoil: Callable[[Message], Message]) -> None:
        super().__init__(nodes)
        self.spoil = spoil

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(super().pull_messages(message_ids))
        return [self.spoil(m) if m.metadata.src_node_id == 2 else m for m in replies]


def foreign(message: Message) -> Message:
    message.content = RecordDict()
    return message


def unreadable(message: Message) -> Message:
    raise KeyError("arraychunk_ids")


@pytest.mark.parametrize(
    ("spoil", "words"), [(foreign, "no records of this"), (unreadable, "cannot be unpacked")]
)
def test_a_mangled_message_costs_only_its_site(
    tmp_path: Path, spoil: Callable[[Message], Message], words: str
) -> None:
    bench = Bench(tmp_path, grid=ForeignGrid({n: Site(n) for n in SITES}, spoil))
    assert bench.run() == ["east", "south"]
    assert bench.losses["north"][0] == "rejected"
    assert words in bench.losses["north"][1]
