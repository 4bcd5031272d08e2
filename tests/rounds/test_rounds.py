"""Rounds over the in-process grid: whatever one site does costs that site's reply only."""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import httpx
import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from rich.console import Console

from common.asks import FitAsk, FitTold
from common.digests import digest_value
from common.errors import RunStopped, UpdateRejected
from common.log_head import LogHead, split_head, with_head
from common.parts import Arrays
from common.record import Record, read_record
from common.study.schema import LabelSet, Study
from common.wire import Reply, Request, decode_request, encode_reply
from server.aggregation import RunningMean
from server.checkpoints import Part
from server.intake import check_arrays, check_norm
from server.progress import PlainProgress
from server.rounds import Rounds
from simulations.engines.inprocess import Fault, Handle, LoopbackGrid
from tests.support.exchanges import changed

SITES = ("east", "north", "south")
STUDY = Study(name="t", sites=SITES, quorum=2, labels=LabelSet(name="l", classes=("a", "b")))
MODEL = {"w": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
EXAMPLES = {"east": 30, "north": 7, "south": 11}


def difference_of(site: str, model: Arrays) -> dict[str, np.ndarray[Any, np.dtype[np.float16]]]:
    return {"w": (model["w"] * EXAMPLES[site] / 100).astype(np.float16)}


def head_of(lines: int, written: str = "") -> LogHead:
    return LogHead(lines=lines, digest=digest_value([lines, written]))


class Site:
    """A site in a few lines: it keeps the newest of each part, and answers with a difference."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log = 0  # lines
        self.held: dict[str, tuple[str, Arrays]] = {}
        self.received: list[set[str]] = []  # which parts travelled, message by message

    def __call__(self, data: bytes) -> bytes:
        self.log += 1
        return with_head(self.reply(data), head_of(self.log))

    def reply(self, data: bytes) -> bytes:
        request = decode_request(data)
        self.received.append(set(request.arrays))
        for part, arrays in request.arrays.items():
            self.held[part] = (request.parts[part], arrays)
        needs = tuple(
            part for part, key in request.parts.items() if self.held.get(part, ("", {}))[0] != key
        )
        if needs:
            return encode_reply(Reply(request.step, request.digest, "needs-parts", needs=needs))
        return encode_reply(self.answer(request))

    def answer(self, request: Request) -> Reply:
        told = FitTold(
            examples=EXAMPLES[self.name], loss_sum=1.0, validation_examples=0,
            validation_correct=0, validation_loss_sum=0.0,
        )  # fmt: skip
        arrays = difference_of(self.name, self.held["fusion"][1])
        return Reply(request.step, request.digest, "done", told, arrays, seconds=0.25)


class Bench:
    """A coordinator's rounds over a loopback grid, and what they wrote."""

    def __init__(
        self,
        folder: Path,
        *,
        grid: LoopbackGrid | None = None,
        nodes: Mapping[str, Handle] | None = None,
        faults: Mapping[str, Fault] | None = None,
        deadline_s: float = 0.2,
    ) -> None:
        self.sites = {name: Site(name) for name in SITES}
        self.grid = grid or LoopbackGrid(nodes or self.sites, faults)
        self.record = Record(folder / "record.jsonl", study=STUDY.digest, run="r1")
        self.shown = io.StringIO()
        self.mean = RunningMean(MODEL)
        self.rounds = Rounds(
            self.grid, STUDY, "r1", self.record,
            PlainProgress(Console(file=self.shown, width=500)), deadline_s,
            poll_s=0.01, pauses_s=(0.0, 0.0),
        )  # fmt: skip

    def take(self, site: str, reply: Reply) -> None:
        assert isinstance(reply.told, FitTold)
        check_arrays(site, reply.arrays, MODEL, np.float16)
        check_norm(site, reply.arrays, 10.0)
        self.mean.add(site, reply.told.examples, reply.arrays)

    def run(self, round: int = 1, model: Arrays = MODEL, **options: Any) -> list[str]:
        return self.rounds.exchange(
            phase="fusion", round=round, exchange=0, ask=FitAsk(stage="fusion"),
            parts={"fusion": Part.of(model)}, take=options.pop("take", self.take), **options,
        )  # fmt: skip

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [line for line in read_record(self.record.path) if line["event"] in kinds]

    @property
    def losses(self) -> dict[str, tuple[str, str]]:
        lost = self.events("missing", "refused", "rejected")
        return {line["site"]: (line["event"], line["problem"]) for line in lost}


def expected_mean(sites: Iterable[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    chosen = list(sites)
    return np.average(
        [difference_of(site, MODEL)["w"].astype(np.float64) for site in chosen],
        axis=0,
        weights=[EXAMPLES[site] for site in chosen],
    )


def altered(**changes: Any) -> Fault:
    """Change fields of a site's reply on its way."""
    return lambda data: changed(data, lambda reply: replace(reply, **changes))


def other_step(**changes: Any) -> Fault:
    return lambda data: changed(
        data, lambda reply: replace(reply, step=reply.step.model_copy(update=changes))
    )


def telling(*heads: LogHead) -> Fault:
    """Tell these heads of a site's log, one after the other, instead of its own."""
    told = iter(heads)
    return lambda data: with_head(split_head(data)[1], next(told))


def raising(data: bytes) -> NoReturn:
    raise FileNotFoundError(f"/data/patients/{len(data)}.jpg")


def test_all_sites_are_added_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.run() == list(SITES)
    assert bench.mean.examples == sum(EXAMPLES.values())
    np.testing.assert_allclose(bench.mean.mean()["w"], expected_mean(SITES), rtol=1e-12)
    (event,) = bench.events("exchange")
    assert event["accepted"] == list(SITES)
    assert (event["phase"], event["round"], event["ask"]) == ("fusion", 1, "fit")
    costs = bench.rounds.accounts.phases["fusion"]
    assert event["bytes_down"] == {site: cost.down for site, cost in costs.items()}
    assert event["bytes_up"] == {site: cost.up for site, cost in costs.items()}
    assert set(costs) == set(SITES)
    assert all(
        cost.seconds == 0.25 and cost.down > 100 and cost.up > 100 for cost in costs.values()
    )


FAULTS: dict[str, tuple[Fault, str, str]] = {
    "nan": (altered(arrays={"w": np.full((2, 3), np.nan, np.float16)}), "rejected", "not finite"),
    "shape": (altered(arrays={"w": np.zeros((3, 2), np.float16)}), "rejected", "has shape (3, 2)"),
    "dtype": (altered(arrays={"w": np.zeros((2, 3), np.float32)}), "rejected", "is float32 for"),
    "names": (altered(arrays={}), "rejected", "w is missing"),
    "norm": (
        altered(arrays={"w": np.full((2, 3), 99, np.float16)}),
        "rejected",
        "the study accepts",
    ),
    "study": (other_step(study="0" * 64), "rejected", "another step: study"),
    "round": (other_step(round=7), "rejected", "another step: round 7 for 1"),
    "site": (other_step(site="east"), "rejected", "another step: site east for north"),
    "request": (altered(request="0" * 64), "rejected", "another request"),
    "told": (altered(told=None), "rejected", "tells nothing"),
    "garbage": (lambda data: b"\x00" * 500, "rejected", "not a message"),
    "nothing": (lambda data: b"", "rejected", "not a message"),
    "headless": (lambda data: split_head(data)[1], "rejected", "tells the head of its site's log"),
    "bodiless": (lambda data: data[:44], "rejected", "not a message of this protocol"),
    "magic": (lambda data: b"LKH2" + data[4:], "rejected", "not a message"),
    "lines": (lambda data: data[:4] + b"\xff" + data[5:], "rejected", "not a message"),
    "cut": (lambda data: data[:-3], "rejected", "cannot be read"),
    "refusal": (
        altered(status="refused", told=None, arrays={}, problem="3 rounds\nleft", fix="wait"),
        "refused",
        "3 rounds left",
    ),
    "exception": (raising, "missing", "no reply: its app failed (FileNotFoundError)"),
    "silence": (lambda data: None, "missing", "no reply within 0.2 s"),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_costs_only_its_site(tmp_path: Path, name: str) -> None:
    fault, event, words = FAULTS[name]
    bench = Bench(tmp_path, faults={"north": fault})
    assert bench.run() == ["east", "south"]
    assert set(bench.losses) == {"north"}
    assert bench.losses["north"][0] == event
    assert words in bench.losses["north"][1]
    assert "patients" not in bench.record.path.read_text()
    assert f"north, fusion, round 1: {event}: " in bench.shown.getvalue()
    np.testing.assert_allclose(bench.mean.mean()["w"], expected_mean(["east", "south"]), rtol=1e-12)


def test_a_bug_at_a_virtual_site_keeps_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Bench(tmp_path, faults={"north": raising}).run()
    (entry,) = caplog.records
    assert entry.getMessage() == "site north failed; its reply is lost"
    assert entry.exc_info is not None
    assert entry.exc_info[0] is FileNotFoundError


def test_below_the_quorum_the_run_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, faults={"north": raising, "south": lambda data: b"x"})
    with pytest.raises(RunStopped, match="fusion, round 1: 1 of 3 sites") as stopped:
        bench.run()
    assert "quorum is 2" in stopped.value.problem
    assert "resume" in stopped.value.fix
    assert bench.events("stopped")[0]["problem"] == stopped.value.problem
    assert bench.run(round=2, quorum=1) == ["east"]


def test_the_order_of_sites_changes_no_bit(tmp_path: Path) -> None:
    means = []
    for number, order in enumerate((SITES, SITES[::-1])):
        bench = Bench(tmp_path / str(number))
        assert bench.run(sites=order) == list(order)
        means.append(bench.mean.mean()["w"].tobytes())
    assert means[0] == means[1]


def test_a_part_travels_only_when_it_is_not_what_went_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    moved = {"w": MODEL["w"] + 1}
    for number, model in enumerate((MODEL, MODEL, moved, MODEL), start=1):
        bench.run(round=number, model=model)
    for site in bench.sites.values():
        assert site.received == [{"fusion"}, set(), {"fusion"}, {"fusion"}]


def test_a_site_that_forgot_is_sent_the_parts_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run()
    bench.sites["south"].held.clear()
    assert bench.run(round=2) == list(SITES)
    assert bench.sites["south"].received == [{"fusion"}, set(), {"fusion"}]
    assert bench.losses == {}


def test_a_site_that_forgets_for_ever_is_rejected(tmp_path: Path) -> None:
    forgets = altered(status="needs-parts", needs=("fusion",), told=None, arrays={})
    bench = Bench(tmp_path, faults={"south": forgets})
    assert bench.run() == ["east", "north"]
    assert bench.losses["south"] == (
        "rejected", "reply from south rejected: it calls for parts that it was just sent",
    )  # fmt: skip
    assert len(bench.sites["south"].received) == 2


def test_a_rejected_site_is_asked_again_next_round_with_its_parts(tmp_path: Path) -> None:
    broken = [True]
    bench = Bench(tmp_path, faults={"north": lambda data: b"x" if broken[0] else data})
    bench.run()
    broken[0] = False
    assert bench.run(round=2) == list(SITES)
    assert bench.sites["north"].received == [{"fusion"}, {"fusion"}]


def test_a_bug_in_taking_a_reply_is_not_hidden(tmp_path: Path) -> None:
    def take(site: str, reply: Reply) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Bench(tmp_path).run(take=take)


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


def test_the_head_of_each_site_that_replied_stands_in_the_record(tmp_path: Path) -> None:
    def fails_once(data: bytes) -> bytes:
        return raising(data) if split_head(data)[0].lines == 2 else data

    bench = Bench(tmp_path, faults={"north": fails_once})
    for round in (1, 2, 3):
        bench.run(round=round)
    bench.sites["south"].held.clear()
    bench.run(round=4)
    told = [event["log_heads"] for event in bench.events("exchange")]
    for number, heads in enumerate(told[:3], start=1):
        sites = ("east", "south") if number == 2 else SITES
        assert heads == {site: head_of(number).model_dump() for site in sites}
    assert told[3]["south"] == head_of(5).model_dump()  # its call for parts was a reply, too
    assert bench.events("rewound") == []


def test_a_reply_that_is_rejected_tells_its_head_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path, faults={"north": FAULTS["nan"][0], "south": FAULTS["cut"][0]})
    bench.run(quorum=1)
    (event,) = bench.events("exchange")
    assert set(event["log_heads"]) == {"east", "north"}  # of what is garbled, nothing is believed


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ((head_of(8), head_of(5)), "shorter than it was: 5 lines, after 8 in an earlier reply"),
        ((head_of(8), head_of(8, "anew")), "line 8 is not the one of an earlier reply"),
    ],
)
def test_a_log_that_went_backwards_is_noted_and_the_run_goes_on(
    tmp_path: Path, heads: tuple[LogHead, LogHead], words: str
) -> None:
    fault = telling(*heads, head_of(9), head_of(9))  # the last: an exchange that was held again
    bench = Bench(tmp_path, faults={"north": fault})
    for round in (1, 2, 3, 4):
        assert bench.run(round=round) == list(SITES)
    (event,) = bench.events("rewound")
    assert (event["site"], event["round"]) == ("north", 2)
    assert words in event["problem"]
    assert "leukofed-site log --verify" in event["fix"]
    assert f"north, fusion, round 2: rewound: {event['problem']}" in bench.shown.getvalue()


def test_a_log_that_was_cut_while_the_coordinator_was_stopped_is_noted(tmp_path: Path) -> None:
    Bench(tmp_path, faults={"north": telling(head_of(8))}).run()
    again = Bench(tmp_path, faults={"north": telling(head_of(7))})
    assert again.run(round=2) == list(SITES)
    assert [event["site"] for event in again.events("rewound")] == ["north"]


def test_a_take_that_refuses_leaves_the_mean_untouched(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def take(site: str, reply: Reply) -> None:
        if site == "east":
            raise UpdateRejected(site, "its census said otherwise", fix="ask it")
        bench.take(site, reply)

    assert bench.run(take=take) == ["north", "south"]
    np.testing.assert_allclose(
        bench.mean.mean()["w"], expected_mean(["north", "south"]), rtol=1e-12
    )
