"""Malformed and altered replies for a coordinator's rounds, and what becomes of each."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from common.asks import FitAsk, FitTold
from common.digests import digest_value
from common.errors import RunStopped
from common.log_head import LogHead, with_head
from common.record import Record
from common.seeds import stream
from common.study.schema import LabelSet, Study
from common.wire import MAGIC, Reply, Request, decode_request, encode_reply
from server.checkpoints import Part
from server.intake import check_arrays, check_examples, check_norm
from server.progress import PlainProgress
from server.rounds import Rounds
from simulations.engines.inprocess import LoopbackGrid
from tests.support import mutations
from tests.support.fuzz_account import ACCEPTED, Account
from tests.support.mutations import Random, header_end
from tests.support.processes import resident_bytes

STUDY = Study(name="t", sites=("north",), quorum=1, labels=LabelSet(name="l", classes=("a", "b")))
MODEL = {"w": np.linspace(-1, 1, 60_000, dtype=np.float32).reshape(200, 300)}
_EXAMPLES = 7
_HEAD = 44  # bytes of a log's head
_TOLD = FitTold(
    examples=_EXAMPLES, loss_sum=1.5, validation_examples=0, validation_correct=0,
    validation_loss_sum=0.0,
)  # fmt: skip
Spoil = Callable[[Request, bytes, Random], bytes]
"""Makes another reply of a right one to a request."""


def fuzz_rounds(folder: Path, count: int, seed: int, first: int = 50) -> Account:
    """Hold exchanges with one site, whose every reply is spoilt on its way.

    Args:
        folder: takes the record.
        count: how many replies.
        seed: of the replies.
        first: after how many this process's memory is looked at first.
    """
    random = stream(seed, "fuzz", "replies")
    kinds = list(_kinds().items())
    account = Account()

    def node(data: bytes) -> bytes:
        request = decode_request(data)
        name, spoil = kinds[account.messages % len(kinds)]
        right = _right(request)
        spoilt = spoil(request, right, random)
        if spoilt == right:
            raise RuntimeError(f"{name} changes nothing")
        return spoilt

    record = Record(folder / "record.jsonl", study=STUDY.digest, run="r1")
    watch = Notes()
    rounds = Rounds(
        LoopbackGrid({"north": node}), STUDY, "r1", record, watch, deadline_s=60.0, poll_s=0.01
    )
    part = Part.of({"w": MODEL["w"]})
    while account.messages < count:
        name = kinds[account.messages % len(kinds)][0]
        try:
            rounds.exchange(
                phase="fusion", round=1 + account.messages, exchange=0, ask=FitAsk(stage="fusion"),
                parts={"fusion": part}, take=_take,
            )  # fmt: skip
            why = ACCEPTED
        except RunStopped:
            why = watch.last
        account.reasons[f"{name}: {why}"] += 1
        account.messages += 1
        if account.messages in (first, count):
            account.resident[account.messages] = resident_bytes(os.getpid())
    return account


def _take(site: str, reply: Reply) -> None:
    """Check what a phase checks of training."""
    assert isinstance(reply.told, FitTold)
    check_examples(site, reply.told.examples, _EXAMPLES)
    check_arrays(site, reply.arrays, MODEL, np.float16)
    check_norm(site, reply.arrays, 1000.0)


class Notes(PlainProgress):
    """Keeps the newest note: which reply does not count, and why."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.last = ""

    def note(self, text: str) -> None:
        """Keep it, its first words."""
        self.last = re.sub(r"[0-9]+", "N", text.partition(": ")[2])[:60]


def _right(request: Request) -> bytes:
    arrays = {"w": (MODEL["w"] / 100).astype(np.float16)}
    body = encode_reply(Reply(request.step, request.digest, "done", _TOLD, arrays, seconds=0.25))
    return with_head(body, LogHead(lines=request.step.round, digest=digest_value(request.digest)))


def _header(change: Callable[[dict[str, Any], Random], Any]) -> Spoil:
    """Return what changes the header's JSON, and keeps the frame in order."""

    def spoil(request: Request, data: bytes, random: Random) -> bytes:
        end = header_end(data, _HEAD)
        header = json.loads(data[_HEAD + 8 : end])
        text = change(header, random)
        if not isinstance(text, bytes):
            text = json.dumps(header if text is None else text).encode()
        return _framed(data[:_HEAD], text, data[end:])

    return spoil


def _arrays(make: Callable[[Random], Any]) -> Spoil:
    """Return what sends other arrays under a right digest."""

    def spoil(request: Request, data: bytes, random: Random) -> bytes:
        reply = Reply(request.step, request.digest, "done", _TOLD, make(random), seconds=0.25)
        return data[:_HEAD] + encode_reply(reply)

    return spoil


def _table(make: Callable[[dict[str, Any], Random], Any]) -> Spoil:
    """Return what changes the table of arrays that begins the safetensors block."""

    def spoil(request: Request, data: bytes, random: Random) -> bytes:
        end = header_end(data, _HEAD)
        block = data[end:]
        length = int.from_bytes(block[:8], "little")
        text = make(json.loads(block[8 : 8 + length]), random)
        if not isinstance(text, bytes):
            text = json.dumps(text).encode()
        return data[:end] + len(text).to_bytes(8, "little") + text + block[8 + length :]

    return spoil


def _framed(head: bytes, text: bytes, block: bytes) -> bytes:
    return b"".join((head, MAGIC, len(text).to_bytes(4, "big"), text, block))


_WRONG: dict[str, tuple[Any, ...]] = {
    "step": (None, {}, [], "x"),
    "request": (None, "0" * 64, "x", 5),
    "status": (None, "accepted", "", 1, "refused", "needs-parts"),
    "told": (None, {}, {"kind": "census"}, {"kind": "fit"}, [1], 1.5),
    "problem": (None, "x" * 2001, 5, ["x"], "\ud800"),
    "fix": (None, "x" * 2001, {}),
    "needs": (None, "fusion", [5], {"a": 1}, 7),
    "seconds": (None, -1, 1e8, 10**400, "x", float("nan"), float("inf")),
    "content": (None, "0" * 64, "", 5),
}
_WRONG_STEP: dict[str, tuple[Any, ...]] = {
    "study": ("0" * 64, "", 5), "run": ("r2", "../r1", "", "r1\n"), "phase": ("census", "FUSION"),
    "round": (0, -1, 10**30, 1.5, "x"), "exchange": (1, -1, 2**70), "site": ("south", "", "a b"),
}  # fmt: skip
_WRONG_TOLD: dict[str, tuple[Any, ...]] = {
    "examples": (0, -1, 8, 2**40, 2**70, 10**4000, 1.5, "x", None, float("nan")),
    "loss_sum": (-1, 1e16, 1e400, float("nan"), "x", None),
    "validation_examples": (-1, 2**41, None),
    "kind": ("moments", "", None, 5),
}


def _wrong(field: str, values: dict[str, tuple[Any, ...]]) -> Spoil:
    def change(header: dict[str, Any], random: Random) -> None:
        place = header[field] if field else header
        key = list(values)[random.integers(len(values))]
        place[key] = values[key][random.integers(len(values[key]))]

    return _header(change)


def _without_a_field(header: dict[str, Any], random: Random) -> dict[str, Any]:
    absent = list(header)[random.integers(len(header))]
    return {name: value for name, value in header.items() if name != absent}


def _deep(_: object, random: Random) -> bytes:
    depth = int(random.integers(1000, 100_000))
    return b"[" * depth + b"]" * (depth if random.integers(2) else 0)


def _wild_table(table: dict[str, Any], random: Random) -> dict[str, Any]:
    entry: dict[str, Any] = table["w"]
    giant = int(random.integers(1 << 40, 1 << 62))
    wild: tuple[dict[str, Any], ...] = (
        {"dtype": "F64"}, {"dtype": "I16"}, {"dtype": "F8_E4M3"}, {"dtype": "x"}, {"dtype": None},
        {"shape": [300, 200]}, {"shape": [giant, 1]}, {"shape": [0, giant]}, {"shape": [-1]},
        {"shape": [1] * 100 + [60_000]}, {"shape": [2**64, 1]}, {"shape": "x"},
        {"data_offsets": [0, giant]}, {"data_offsets": [giant, giant + 120_000]},
        {"data_offsets": [120_000, 0]}, {"data_offsets": [0, 0]}, {"data_offsets": [-1, 119_999]},
        {"dtype": "BOOL", "shape": [0, giant], "data_offsets": [0, 0]},
    )  # fmt: skip
    return {"w": entry | wild[random.integers(len(wild))]}


def _bad_values(random: Random) -> dict[str, Any]:
    values = (MODEL["w"] / 100).astype(np.float16)
    where = random.integers(values.size, size=int(random.integers(1, 50)))
    bad = np.array([np.nan, np.inf, -np.inf], np.float16)
    values.flat[where] = bad[random.integers(3, size=len(where))]
    return {"w": values}


def _bad_arrays(random: Random) -> dict[str, Any]:
    right = (MODEL["w"] / 100).astype(np.float16)
    wrong: tuple[dict[str, Any], ...] = (
        {}, {"w": right.T}, {"w": right.astype(np.float32)}, {"w": right.view(np.int16)},
        {"v": right}, {"w": right, "v": right}, {"w": right[:-1]}, {"w": right[None]},
        {"w": right.ravel()}, {"w": np.full_like(right, 60_000)}, {"w": np.ones(1, np.float16)},
        {"w": np.zeros((0, 300), np.float16)}, {"w": np.zeros((900, 900), np.float16)},
        {"w": right, "": right}, {f"w{i}": right[:1] for i in range(2000)},
    )  # fmt: skip
    return wrong[random.integers(len(wrong))]


def _kinds() -> dict[str, Spoil]:
    flip = mutations.flipped
    bytes_: dict[str, Callable[[bytes, Random], bytes]] = {
        "magic of the head": lambda d, r: flip(d, r, 0, 4),
        "lines of the head": lambda d, r: d[:4] + bytes([128 + r.integers(128)]) + d[5:],
        "frame": lambda d, r: flip(d, r, _HEAD, _HEAD + 4),
        "declared length of the header": mutations.other_length(_HEAD + 4),
        "header is no text": lambda d, r: (
            d[: (at := int(r.integers(_HEAD + 8, header_end(d, _HEAD))))]
            + bytes([r.integers(0xF8, 0x100)])
            + d[at + 1 :]
        ),
        "declared length of the table": lambda d, r: flip(
            d, r, header_end(d, _HEAD), header_end(d, _HEAD) + 8
        ),
        "arrays": lambda d, r: flip(d, r, len(d) - 100_000),
        "truncated": mutations.truncated,
        "extended": mutations.extended,
        "shortened": mutations.shortened,
        "doubled stretch": mutations.doubled,
        "garbage": mutations.garbage,
        "garbage behind a head": lambda d, r: d[:_HEAD] + mutations.misleading(d, r),
        "headless": lambda d, r: d[_HEAD:],
        "two heads": lambda d, r: d[:_HEAD] + d,
    }
    kinds: dict[str, Spoil] = {
        name: lambda request, data, random, change=change: change(data, random)  # type: ignore[misc]
        for name, change in bytes_.items()
    }
    return kinds | {
        "wrong field": _wrong("", _WRONG),
        "wrong step": _wrong("step", _WRONG_STEP),
        "wrong in what is told": _wrong("told", _WRONG_TOLD),
        "missing field": _header(_without_a_field),
        "unknown field": _header(lambda header, r: header | {"more": int(r.integers(9))}),
        "deep header": _header(_deep),
        "long header": _header(lambda header, r: b" " * int(r.integers((1 << 20) + 1, 1 << 21))),
        "header is no object": _header(
            lambda header, r: (b"null", b"5", b"[]", b'"x"', b"", b"{}")[r.integers(6)]
        ),
        "wild table of arrays": _table(_wild_table),
        "deep table of arrays": _table(_deep),
        "values that are no numbers": _arrays(_bad_values),
        "other arrays": _arrays(_bad_arrays),
    }  # fmt: skip
