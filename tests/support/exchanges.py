"""Builders of studies, requests and replies."""

from collections.abc import Callable
from typing import Any

import numpy as np

from common.asks import (
    NEEDED_PARTS,
    Ask,
    BoosterAsk,
    BoosterTold,
    CensusAsk,
    FitAsk,
    FitTold,
    Told,
    work_of,
)
from common.log_head import split_head, with_head
from common.study.schema import LabelSet, Study
from common.wire import Reply, Request, Step, decode_reply, encode_reply

STUDY = Study(
    name="trial",
    sites=("north", "south"),
    quorum=2,
    labels=LabelSet(name="two", classes=("a", "b")),
)
SUMS = {"sums": np.arange(12, dtype=np.int64).reshape(3, 4)}


def request(ask: Ask | None = None, parts: dict[str, str] | None = None, **step: Any) -> Request:
    """Ask site north for level 0 of booster round 1; `step` overrides where in the run.

    Without `parts`, the request names those that the work needs, with made-up digests.
    """
    place: dict[str, Any] = {
        "study": STUDY.digest, "run": "run-1", "phase": "booster", "round": 1, "exchange": 0,
        "site": "north",
    }  # fmt: skip
    wanted = ask or BoosterAsk(level=0)
    named = dict.fromkeys(NEEDED_PARTS[work_of(wanted)], "0" * 64) if parts is None else parts
    return Request(Step(**(place | step)), wanted, named)


def census_request(**step: Any) -> Request:
    """Ask site north for its census."""
    return request(CensusAsk(), phase="census", **step)


def fit_request(stage: Any, **step: Any) -> Request:
    """Ask site north for training."""
    return request(FitAsk(stage=stage), **step)


def reply(to: Request, told: Told | None = None, arrays: Any = None, seconds: float = 0.5) -> bytes:
    """Answer a request."""
    return encode_reply(
        Reply(
            to.step,
            to.digest,
            "done",
            told or BoosterTold(examples=7),
            SUMS if arrays is None else arrays,
            seconds=seconds,
        )
    )


def refusal(to: Request, problem: str = "no") -> bytes:
    """Decline a request."""
    return encode_reply(Reply(to.step, to.digest, "refused", problem=problem, fix="ask again"))


def changed(data: bytes, change: Callable[[Reply], Reply]) -> bytes:
    """Change a reply on its way; the head before it stays."""
    head, body = split_head(data)
    return with_head(encode_reply(change(decode_reply(body))), head)


FIT_TOLD = FitTold(
    examples=7, loss_sum=1.5, validation_examples=0, validation_correct=0, validation_loss_sum=0.0
)
