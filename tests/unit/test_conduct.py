import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from common.asks import NEEDED_PARTS, BoosterAsk, BoosterTold, CensusAsk, FitTold
from common.errors import RunStopped
from common.log_head import LogHead, with_head
from common.record import Record, read_record
from common.updates.fixed_point import MOST_EXAMPLES
from common.wire import Reply, decode_request
from server.accounts import Cost
from server.checkpoints import Checkpoints, Part, State
from server.conduct import Conduct, told_as
from server.progress import PlainProgress
from server.rounds import Rounds
from simulations.engines.inprocess import LoopbackGrid
from tests.support.exchanges import STUDY, SUMS, reply, request

MODEL = {"w": np.arange(4, dtype=np.float32)}


class Node:
    """A site that answers every booster request alike, and counts the bytes it sees."""

    def __init__(self) -> None:
        self.bytes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.travelled: list[set[str]] = []
        self.log: Counter[str] = Counter()

    def __call__(self, data: bytes) -> bytes:
        asked = decode_request(data)
        self.travelled.append(set(asked.arrays))
        self.log[asked.step.site] += 1
        head = LogHead(lines=self.log[asked.step.site], digest="a" * 64)
        answer = with_head(reply(asked, seconds=0.25), head)
        self.bytes[asked.step.site][0] += len(data)
        self.bytes[asked.step.site][1] += len(answer)
        return answer


def new_state() -> State:
    return State((0, 0), {name: Part.of(MODEL) for name in NEEDED_PARTS["booster"]}, {})


def opened(folder: Path, node: Node | None = None, state: State | None = None) -> Conduct:
    """Open a run at its newest checkpoint, as a coordinator that was started again does."""
    checkpoints = Checkpoints(folder / "checkpoints")
    found = state or checkpoints.latest(STUDY.digest, note=pytest.fail) or new_state()
    record = Record(folder / "record.jsonl", study=STUDY.digest, run="r1")
    watch = PlainProgress(Console(file=io.StringIO(), width=200))
    grid = LoopbackGrid(dict.fromkeys(STUDY.sites, node or Node()))
    rounds = Rounds(grid, STUDY, "r1", record, watch, 0.2, poll_s=0.01, pauses_s=(0.0,))
    return Conduct(STUDY, rounds, checkpoints, record, watch, found)


def ask(conduct: Conduct, number: int, **options: Any) -> dict[str, Reply]:
    taken: dict[str, Reply] = {}
    accepted = conduct.ask("booster", number, BoosterAsk(level=0), taken.__setitem__, **options)
    assert set(accepted) == set(taken)
    return taken


def test_a_new_run_has_every_round_before_it(tmp_path: Path) -> None:
    conduct = opened(tmp_path)
    assert list(conduct.remaining("census", 1, 1)) == [1]
    assert list(conduct.remaining("backbones", 0, 3)) == [0, 1, 2, 3]


def test_after_a_resume_the_rounds_that_no_checkpoint_holds_remain(tmp_path: Path) -> None:
    conduct = opened(tmp_path)
    for phase, last in (("census", 1), ("backbones", 2)):
        for number in conduct.remaining(phase, 1, last):  # type: ignore[arg-type]
            conduct.finish(phase, number)  # type: ignore[arg-type]
    for number in conduct.remaining("fusion", 0, 5):
        conduct.hold("model", {"w": MODEL["w"] + number})
        if number == 3:
            break  # killed in the middle of round 3
        conduct.finish("fusion", number)

    resumed = opened(tmp_path)
    assert list(resumed.remaining("census", 1, 1)) == []
    assert list(resumed.remaining("backbones", 1, 9)) == []  # a later phase has begun
    assert list(resumed.remaining("fusion", 0, 5)) == [3, 4, 5]
    assert list(resumed.remaining("booster", 1, 2)) == [1, 2]
    np.testing.assert_array_equal(resumed.parts["model"].arrays["w"], MODEL["w"] + 2)
    done = [
        (line["phase"], line["round"])
        for line in read_record(tmp_path / "record.jsonl")
        if line["event"] == "round"
    ]
    assert done == [
        ("census", 1), ("backbones", 1), ("backbones", 2), ("fusion", 0), ("fusion", 1),
        ("fusion", 2),
    ]  # fmt: skip


def test_costs_go_on_from_the_checkpoint(tmp_path: Path) -> None:
    node = Node()
    first = opened(tmp_path, node)
    ask(first, 1)
    first.finish("booster", 1)
    ask(first, 2)  # after the checkpoint: lost with the process, and asked again
    lost = {site: list(found) for site, found in node.bytes.items()}
    resumed = opened(tmp_path, Node())
    after_one = opened(tmp_path, Node()).rounds.accounts.phases["booster"]
    assert 0 < sum(cost.up for cost in after_one.values()) < sum(up for _, up in lost.values())

    second = Node()
    resumed = opened(tmp_path, second)
    taken = ask(resumed, 2)
    assert set(taken) == {"north", "south"}
    for found in taken.values():
        np.testing.assert_array_equal(found.arrays["sums"], SUMS["sums"])
    assert resumed.rounds.accounts.phases["booster"] == {
        site: after_one[site] + Cost(down, up, 0.25) for site, (down, up) in second.bytes.items()
    }


def test_the_cohort_is_the_studys_sites_until_the_census_says_less(tmp_path: Path) -> None:
    conduct = opened(tmp_path)
    assert conduct.cohort == ["north", "south"]
    conduct.facts["cohort"] = ["north"]
    assert conduct.cohort == ["north"]
    conduct.cohort.append("east")
    assert conduct.cohort == ["north"]
    with pytest.raises(RunStopped, match="1 of 1 sites answered usably, and the quorum is 2"):
        ask(conduct, 1)
    assert set(ask(conduct, 2, sites=["south", "north"])) == {"north", "south"}


def test_a_part_travels_once_to_a_site(tmp_path: Path) -> None:
    node = Node()
    conduct = opened(tmp_path, node)
    ask(conduct, 1)
    ask(conduct, 2)
    conduct.hold("booster", {"w": MODEL["w"] * 2})
    ask(conduct, 3)
    assert node.travelled == [set(NEEDED_PARTS["booster"])] * 2 + [set()] * 2 + [{"booster"}] * 2


def test_a_reply_of_another_kind_is_a_fault_of_ours() -> None:
    told = Reply(request().step, request().digest, "done", BoosterTold(examples=7))
    assert told_as(BoosterTold, told).examples == 7
    with pytest.raises(TypeError, match="expected FitTold, not BoosterTold"):
        told_as(FitTold, told)
    with pytest.raises(TypeError, match="NoneType"):
        told_as(BoosterTold, Reply(request(CensusAsk()).step, "", "refused"))


def test_a_sites_examples_are_bounded_by_its_census_and_its_share(tmp_path: Path) -> None:
    conduct = opened(tmp_path)
    assert conduct.most_examples("north", "train") == MOST_EXAMPLES // 2
    told = {
        "examples": {"train": {"a": 30, "b": 12}, "test": {"a": 2**40}},
        "withheld": {"train": ["c", "d"]},
        "fewest_examples": 5,
    }
    conduct.facts["census"] = {"north": told}
    assert conduct.most_examples("north", "train") == 30 + 12 + 2 * 4
    assert conduct.most_examples("north", "test") == MOST_EXAMPLES // 2
    assert conduct.most_examples("north", "validation") == 0
