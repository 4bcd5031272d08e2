"""What has left a site so far, summed up from its egress log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.egress.log import EgressLog, Passage


@dataclass(frozen=True)
class Left:
    """Results that left for one study, or in one phase of it."""

    runs: int
    answers: int
    refusals: int
    bytes: int
    first: str
    """When the first of them left, UTC, ISO 8601."""
    last: str


NOTHING = Left(0, 0, 0, 0, "", "")


def left_by_study(state: Path) -> Mapping[str, Left] | None:
    """Sum up by digest of the study; None if the log may not be read by this user.

    Raises:
        CorruptFile: the log is damaged.
    """
    passages = passages_of(state)
    if passages is None:
        return None
    by_study: dict[str, list[Passage]] = {}
    for passage in passages:
        by_study.setdefault(passage.study, []).append(passage)
    return {digest: summed_up(own) for digest, own in by_study.items()}


def passages_of(state: Path) -> list[Passage] | None:
    """Read a site's log; None if it may not be read by this user.

    Raises:
        CorruptFile: the log is damaged.
    """
    try:
        return list(EgressLog(state / "egress.jsonl"))
    except PermissionError:
        return None


def summed_up(passages: Sequence[Passage]) -> Left:
    """Sum up passages, of which there is at least one; refusals leave bytes as well."""
    done = [left for left in passages if left.status == "done"]
    return Left(
        runs=len({left.run for left in done}),
        answers=len(done),
        refusals=sum(left.status == "refused" for left in passages),
        bytes=sum(left.bytes for left in passages),
        first=passages[0].time,
        last=passages[-1].time,
    )
