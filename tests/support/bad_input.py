"""Cases of bad input as rows: what is given, and what becomes of it; docs/data.md shows them."""

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_COUNTED = re.compile(r"^\d+ of \d+ manifest lines are unusable \(([^;]*).*\)$")
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


def table(cases: Sequence[Case]) -> str:
    """Write the table of docs/data.md: what has the same outcome stands in one row."""
    rows: dict[str, list[str]] = {}
    for case in cases:
        says = _COUNTED.sub(r"\1", case.says)
        said = {
            "used": says, "left out": f"counted as `{says}`", "refused": f"`{says}`"
        }[case.outcome]  # fmt: skip
        rows.setdefault(f"{case.outcome}: {said}", []).append(case.given)
    lines = [f"| {'; '.join(_shortened(given))} | {said} |" for said, given in rows.items()]
    return "\n".join(["| given | what happens |", "| --- | --- |", *lines])


def _shortened(given: Sequence[str]) -> list[str]:
    """Write what differs in its last number alone as one."""
    found: dict[str, list[str]] = {}
    for text in given:
        words, _, number = text.rpartition(" ")
        found.setdefault(words if number.isdigit() else text, []).append(number)
    return [
        f"{words} {' to '.join(dict.fromkeys((numbers[0], numbers[-1])))}"
        if numbers[0].isdigit()
        else words
        for words, numbers in found.items()
    ]


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
