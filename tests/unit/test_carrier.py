"""The coordinator's end of Flower: whose node is whose, and what a request is sent as."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from common.asks import BoosterAsk
from common.flower import BLOCK, HEAD, RECORD, from_records
from common.signing import open_signed, sign_request
from common.troubles import MEANING, Trouble
from common.wire import Request, decode_request, encode_request
from server.carrier import Carrier, Seal, Undelivered, unsealed
from server.node_keys import NodeKey
from simulations.engines.inprocess import LoopbackGrid
from tests.support.exchanges import request
from tests.support.keys import admitted_keys, node_public_key
from tests.support.workers import KEY

SEAL = partial(sign_request, key=KEY, launch=5)


class Post(LoopbackGrid):
    """Keeps what is pushed, and lists the nodes that it is told."""

    def __init__(self, *nodes: NodeInfo) -> None:
        super().__init__({})
        self.nodes = nodes
        self.pushed: list[Message] = []
        self.error: Error | None = None

    def get_nodes(self) -> Iterable[NodeInfo]:
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        self.pushed += messages
        return [f"message-{len(self.pushed)}"]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [Message(self.error, reply_to=self.pushed[-1])] if self.error else []


def carrier(grid: Post, seal: Seal = unsealed, keys: dict[str, NodeKey] | None = None) -> Carrier:
    return Carrier(grid, ttl_s=1.0, pauses_s=(), seal=seal, keys=keys)


def node(number: int, name: str, key: bytes) -> NodeInfo:
    return NodeInfo(node_id=number, name=name, public_key=key)


def test_a_node_is_the_site_whose_key_it_has() -> None:
    grid = Post(node(1, "north", node_public_key(11)), node(2, "south", node_public_key(12, "ssh")))
    assert carrier(grid, keys=admitted_keys(north=11, south=12)).nodes() == {
        "north": [1],
        "south": [2],
    }


@pytest.mark.parametrize(
    "key",
    [node_public_key(12), node_public_key(99), b"", b"garbage", node_public_key(11)[:-40]],
    ids=range(5),
)
def test_a_node_with_another_key_or_none_is_not_the_site(key: bytes) -> None:
    grid = Post(node(1, "north", key), node(2, "south", node_public_key(12)))
    assert carrier(grid, keys=admitted_keys(north=11, south=12)).nodes() == {"south": [2]}


@pytest.mark.parametrize("key", [node_public_key(11), b"", b"garbage"], ids=range(3))
def test_a_site_that_was_not_admitted_has_no_node(key: bytes) -> None:
    """Two that have no key are not two that have the same."""
    grid = Post(node(1, "east", key), node(2, "south", node_public_key(12)))
    assert carrier(grid, keys=admitted_keys(south=12)).nodes() == {"south": [2]}


def test_a_stranger_under_a_sites_name_does_not_put_it_in_doubt() -> None:
    grid = Post(*(node(n, "north", node_public_key(n)) for n in (10, 11, 12)))
    assert carrier(grid, keys=admitted_keys(north=11)).nodes() == {"north": [11]}


def test_where_nodes_have_no_keys_the_name_counts_and_twins_show() -> None:
    grid = Post(node(1, "north", b""), node(2, "north", b""), node(3, "south", node_public_key(3)))
    assert carrier(grid).nodes() == {"north": [1, 2], "south": [3]}


def large(site: str) -> Request:
    arrays = {"w": np.random.default_rng(5).random(800_000)}  # 6.4 MB
    asked = request(site=site, parts={"model": "b" * 64})
    return Request(asked.step, asked.ask, asked.parts, {"model": arrays})


@pytest.mark.parametrize("seal", [unsealed, SEAL])
def test_equal_arrays_for_two_sites_are_stored_once(seal: Seal) -> None:
    """What differs, the signature and the header, is a record of its own."""
    grid = Post()
    for number, site in enumerate(("north", "st-mary-hospital")):
        data = encode_request(large(site))
        carrier(grid, seal).push(number, "booster-1-0", data)
        records = grid.pushed[-1].content.array_records[RECORD]
        assert from_records(grid.pushed[-1]) == seal(data)
        assert records[HEAD].data + records[BLOCK].data == seal(data)
    one, two = (set(get_all_nested_objects(message)) for message in grid.pushed)
    assert len(one & two) == 3  # two chunks of at most 5 MiB, and the Array that lists them
    heads = [m.content.array_records[RECORD][HEAD].data for m in grid.pushed]
    assert all(len(head) < 2000 for head in heads)


def test_every_push_is_sealed_and_a_message_of_its_own() -> None:
    grid = Post()
    sender = carrier(grid, SEAL)
    for level in (0, 1, 1):
        assert sender.push(7, "g", encode_request(request(BoosterAsk(level=level))))
    opened = [open_signed(from_records(message), KEY.public_key()) for message in grid.pushed]
    assert [decode_request(one.data).ask for one in opened] == [
        BoosterAsk(level=0), BoosterAsk(level=1), BoosterAsk(level=1),
    ]  # fmt: skip
    assert {one.launch for one in opened} == {5}
    assert len({message.object_id for message in grid.pushed}) == 3
    assert {m.metadata.dst_node_id for m in grid.pushed} == {7}


@pytest.mark.parametrize("trouble", Trouble)
def test_a_trouble_is_told_in_words_and_whether_it_passes(trouble: Trouble) -> None:
    grid = Post()
    sender = carrier(grid)
    assert sender.push(1, "g", encode_request(request())) == "message-1"
    assert sender.pull("message-1") is None
    grid.error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, trouble.value)
    with pytest.raises(Undelivered) as raised:
        sender.pull("message-1")
    meaning = MEANING[trouble]
    assert raised.value.problem == f"no reply: {meaning.problem}"
    assert (raised.value.fix, raised.value.passes) == (meaning.fix, meaning.passes)
