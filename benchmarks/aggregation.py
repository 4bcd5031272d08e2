"""The coordinator's cost of an update, and its memory with few and many sites.

Seconds of processor for one update: the exact running mean with all its checks, beside numpy's own
`average` over all updates at once and a plain float64 sum. Then whole training rounds: the
coordinator's real code, a checkpoint included, over the in-process grid, whose nodes answer with
updates that mean nothing, each different; every round in a process of its own, few and many sites
in turn. What a further site costs is the difference of the two, without what the nodes used.

    python -m benchmarks.aggregation --sites 3 100
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import Lap, alone, peak_bytes
from benchmarks.ledger import Figure, enter, parser
from common.asks import FitTold
from common.digests import digest_value
from common.log_head import LogHead, with_head
from common.parts import Arrays
from common.record import Record
from common.study.phases import PHASE_ORDER, BackbonesPhase
from common.study.schema import LabelSet, Study
from common.wire import Reply, decode_request, encode_reply
from server.aggregation import RunningMean
from server.checkpoints import Checkpoints, Part, State
from server.conduct import Conduct
from server.phases.training import train_round
from server.progress import Watches
from server.rounds import Rounds
from simulations.engines.inprocess import Handle, LoopbackGrid

VALUES = 10_900_000  # both tails and heads of configs/studies/xincept-all.yaml
ARRAYS = 60
_EXAMPLES = 400
_UPDATES = 8


def main() -> None:
    """Print the cost of an update, and memory by number of sites."""
    made = parser(__doc__)
    made.add_argument("--values", type=int, default=VALUES, help="of an update")
    made.add_argument("--sites", type=int, nargs=2, default=[3, 100], help="few, many")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--round-of", type=int, help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.round_of:
        print(json.dumps(_round(asked.round_of, asked.values)))
        return
    figures = _means(asked.values, asked.repeats)
    rounds: dict[int, list[dict[str, float]]] = {number: [] for number in asked.sites}
    for _ in range(asked.repeats):
        for number in asked.sites:
            command = [sys.executable, "-m", "benchmarks.aggregation", "--values", asked.values,
                       "--round-of", number]  # fmt: skip
            rounds[number].append(json.loads(alone(command).printed.splitlines()[-1]))
    cpu, peak = (
        {n: statistics.median(one[key] for one in some) for n, some in rounds.items()}
        for key in ("cpu_s", "peak_bytes")
    )
    few, many = asked.sites
    figures += [
        Figure(name="a round's further site, processor", unit="s",
               value=(cpu[many] - cpu[few]) / (many - few)),
        *(Figure(name=f"most memory, {n} sites", value=peak[n] / 1e6, unit="MB") for n in peak),
        Figure(name=f"memory with {many} sites over {few}", value=peak[many] / peak[few],
               unit="x", aim="<= 1.2"),
    ]  # fmt: skip
    enter(asked, figures)


def _means(values: int, repeats: int) -> list[Figure]:
    """Add the same updates in three ways, in turn; tell seconds of processor for one."""
    template = _model(values)
    updates = [_update(template, number) for number in range(_UPDATES)]

    def ours() -> None:
        mean = RunningMean(template)
        for number, update in enumerate(updates):
            mean.add(str(number), _EXAMPLES, update)
        mean.mean()

    def average() -> None:
        for name in template:
            stacked = np.stack([update[name] for update in updates]).astype(np.float64)
            np.average(stacked, axis=0, weights=[_EXAMPLES] * _UPDATES)

    def added() -> None:
        totals = {name: np.zeros(a.shape) for name, a in template.items()}
        for update in updates:
            for name, total in totals.items():
                total += np.multiply(update[name], _EXAMPLES, dtype=np.float64)
        for total in totals.values():
            total /= _EXAMPLES * _UPDATES

    ways: dict[str, Callable[[], None]] = {
        "exact running mean, checked": ours, "numpy.average of all": average,
        "float64 sum": added,
    }  # fmt: skip
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            with Lap() as lap:
                way()
            spent[name].append(lap.spent.cpu_s / _UPDATES)
    return [
        Figure(name=f"an update of {values / 1e6:.1f}M, {name}, processor", unit="s",
               value=statistics.median(some))
        for name, some in spent.items()
    ]  # fmt: skip


def _model(values: int) -> Arrays:
    """Lay values out as a few arrays of equal size, as tails are."""
    chance = np.random.default_rng(1)
    return {
        f"tails/{number:03}": chance.standard_normal(values // ARRAYS, np.float32) * np.float32(0.1)
        for number in range(ARRAYS)
    }


def _update(template: Arrays, number: int) -> dict[str, NDArray[np.float16]]:
    """Make an update that differs from every other, without drawing it anew."""
    return {
        name: np.roll(array.astype(np.float16) * np.float16(1e-3), number)
        for name, array in template.items()
    }


def _round(sites: int, values: int) -> dict[str, float]:
    """Run one round of the tails; return its seconds of processor and the most memory held."""
    names = tuple(f"site-{number + 1:03}" for number in range(sites))
    classes = ("Benign", "Early", "Pre", "Pro")
    study = Study(name="aggregation", sites=names, quorum=sites,
                  labels=LabelSet(name="all", classes=classes))  # fmt: skip
    template = _model(values)
    ends: dict[str, Lap] = {name: Lap() for name in names}
    nodes: dict[str, Handle] = {
        name: partial(_answer, template, number, ends[name]) for number, name in enumerate(names)
    }
    head = {"weight": np.zeros((len(classes), 8), np.float32)}
    parts = {"tails": {name.partition("/")[2]: a for name, a in template.items()},
             "heads": head, "constants": head, "moments": head}  # fmt: skip
    first = study.phase(BackbonesPhase).head_rounds + 1
    with tempfile.TemporaryDirectory() as scratch:
        state = State(
            (PHASE_ORDER.index("backbones"), first - 1),
            {name: Part.of(arrays) for name, arrays in parts.items()},
            {"cohort": list(names)},
        )
        record = Record(Path(scratch) / "record.jsonl", study=study.digest, run="aggregation")
        watch = Watches()
        rounds = Rounds(LoopbackGrid(nodes), study, "aggregation", record, watch, 3600.0)
        conduct = Conduct(study, rounds, Checkpoints(Path(scratch)), record, watch, state)
        with Lap() as lap:
            train_round(conduct, "backbones", first, "tails")
    theirs = sum(end.spent.cpu_s for end in ends.values())
    return {"cpu_s": lap.spent.cpu_s - theirs, "peak_bytes": peak_bytes()}


def _answer(template: Arrays, number: int, end: Lap, data: bytes) -> bytes:
    """Answer as a site would that has trained, with arrays that mean nothing."""
    with end:
        request = decode_request(data)
        told = FitTold(
            examples=_EXAMPLES, loss_sum=1.0, validation_examples=0, validation_correct=0,
            validation_loss_sum=0.0,
        )  # fmt: skip
        arrays = dict(_update(template, number))
        arrays["heads/weight"] = np.zeros((4, 8), np.float16)
        body = encode_reply(Reply(request.step, request.digest, "done", told, arrays))
        return with_head(body, LogHead(lines=1, digest=digest_value(number)))


if __name__ == "__main__":
    main()
