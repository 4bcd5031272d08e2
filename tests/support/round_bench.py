"""A coordinator's rounds with sites of a few lines."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from rich.console import Console

from common.asks import FitAsk, FitTold
from common.digests import digest_value
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
"""What a reply may suffer on its way, what becomes of its site, and the problem told."""
