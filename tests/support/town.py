"""A town of sites that come and go, over the in-process grid, and a coordinator's rounds there."""

import io
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Error, Message
from flwr.proto.node_pb2 import NodeInfo
from rich.console import Console

from common.asks import NEEDED_PARTS, BoosterAsk
from common.flower import from_records
from common.log_head import LogHead, with_head
from common.record import Record, read_record
from common.signing import open_signed
from common.study.schema import LabelSet, Study
from common.wire import Reply, decode_request, encode_reply
from server.carrier import Seal, unsealed
from server.checkpoints import Part
from server.exchange import Take
from server.node_keys import NodeKey
from server.progress import PlainProgress
from server.rounds import Rounds
from simulations.engines.inprocess import LoopbackGrid
from tests.support.exchanges import reply
from tests.support.workers import KEY

SITES = ("east", "north", "south")
STUDY = Study(name="t", sites=SITES, quorum=2, labels=LabelSet(name="l", classes=("a", "b")))
MODEL = {"w": np.arange(4, dtype=np.float32)}


class Town(LoopbackGrid):
    """A grid whose sites come and go, and whose replies are lost or late."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(SITES, self.answer))
        self.numbers = {node.name: node.node_id for node in super().get_nodes()}
        self.away: set[str] = set()
        self.back_after: dict[str, int] = {}  # site -> looks after which it is connected
        self.errors: dict[str, list[Error]] = {}  # by site, one for each message
        self.lost_for: dict[str, int] = {}  # site -> looks for which it is away after an error
        self.late_until: dict[str, float] = {}
        self.public_keys: dict[str, bytes] = {}
        self.looks = 0
        self.sent: dict[str, Message] = {}
        self.forgetful: set[str] = set()  # sites that have lost their parts, once
        self.lines = 0  # of a log that all share

    def answer(self, data: bytes) -> bytes:
        self.lines += 1
        if data[:4] == b"LKS1":
            data = open_signed(data, KEY.public_key()).data
        asked = decode_request(data)
        body = reply(asked)
        if asked.step.site in self.forgetful:
            self.forgetful.remove(asked.step.site)
            needs = tuple(asked.parts)
            body = encode_reply(Reply(asked.step, asked.digest, "needs-parts", needs=needs))
        return with_head(body, LogHead(lines=self.lines, digest="a" * 64))

    def asked(self, site: str) -> list[bytes]:
        """What was sent to a site, message by message."""
        sent = self.sent.values()
        return [from_records(m) for m in sent if m.metadata.dst_node_id == self.numbers[site]]

    def get_nodes(self) -> Iterable[NodeInfo]:
        self.looks += 1
        away = {s for s in self.away if self.looks <= self.back_after.get(s, 10**9)}
        nodes = [node for node in super().get_nodes() if node.name not in away]
        for node in nodes:
            node.public_key = self.public_keys.get(node.name, b"")
        return nodes

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = list(messages)
        ids = list(super().push_messages(pushed))
        self.sent.update(zip(ids, pushed, strict=True))
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        found: list[Message] = []
        for key in message_ids:
            node = self.sent[key].metadata.dst_node_id
            site = next(name for name, number in self.numbers.items() if number == node)
            if time.monotonic() < self.late_until.get(site, 0.0):
                continue
            replies = list(super().pull_messages([key]))
            if replies and self.errors.get(site):
                replies = [Message(self.errors[site].pop(0), reply_to=self.sent[key])]
                if looks := self.lost_for.pop(site, 0):
                    self.away.add(site)
                    self.back_after[site] = self.looks + looks
            found += replies
        return found


class Bench:
    """A coordinator's rounds over a town."""

    def __init__(
        self,
        folder: Path,
        *,
        grace_s: float = 0.0,
        deadline_s: float = 20.0,
        seal: Seal = unsealed,
        keys: Mapping[str, NodeKey] | None = None,
    ) -> None:
        self.town = Town()
        self.record = Record(folder / "record.jsonl", study=STUDY.digest, run="r1")
        watch = PlainProgress(Console(file=io.StringIO(), width=200))
        self.rounds = Rounds(
            self.town, STUDY, "r1", self.record, watch, deadline_s, poll_s=0.01, pauses_s=(),
            grace_s=grace_s, seal=seal, keys=keys,
        )  # fmt: skip
        self.round = 0

    def run(self, take: Take = lambda site, reply: None) -> list[str]:
        """Hold the next round."""
        self.round += 1
        self.town.looks = 0
        return self.rounds.exchange(
            phase="booster", round=self.round, exchange=0, ask=BoosterAsk(level=0),
            parts={name: Part.of(MODEL) for name in NEEDED_PARTS["booster"]}, take=take,
        )  # fmt: skip

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = read_record(self.record.path)
        return [line for line in lines if (line["event"], line["round"]) == (kind, self.round)]

    @property
    def missing(self) -> dict[str, str]:
        return {line["site"]: line["problem"] for line in self.events("missing")}
