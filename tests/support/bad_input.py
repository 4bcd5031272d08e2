"""Cases of bad input as rows: what is given, and what becomes of it; docs/data.md shows them."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Outcome = Literal["used", "left out", "refused"]


@dataclass(frozen=True, eq=False)
class Case:
    """One thing that a camera, a spreadsheet or a person gets wrong."""

    given: str  # in words, as docs/data.md lists it
    write: Callable[[Path], str]  # makes it in a folder; returns what is to be read
    outcome: Outcome
    says: str  # how it is used, the reason counted, or the problem told
    shows: NDArray[np.uint8] | None = None  # of an image that is used: its pixels
    within: int = 0  # levels by which they may differ
    needs_root: bool = False


def row(case: Case) -> str:
    """Write a case as a line of the table in docs/data.md."""
    said = {
        "used": case.says, "left out": f"counted as `{case.says}`", "refused": f"`{case.says}`",
    }[case.outcome]  # fmt: skip
    return f"| {case.given} | {case.outcome}: {said} |"


def table(cases: Sequence[Case]) -> str:
    """Write the whole table."""
    return "\n".join(["| given | what happens |", "| --- | --- |", *map(row, cases)])


@contextmanager
def in_time(seconds: int = 20) -> Iterator[None]:
    """End the test with an error, rather than never, where a read waits for ever."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"still waiting after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
