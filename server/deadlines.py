"""How long an exchange waits for a site: what the site's own replies say of its pace, and more."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.asks import Ask, Told, work_of


@dataclass(frozen=True)
class Pace:
    """One piece of work at a site: how much it was, and how long it took."""

    seconds: float
    """From the request to the reply, transport included; or the site's own seconds, if more."""
    examples: int = 0
    """Images or rows that the site told of; 0 where it tells of none."""


@dataclass(frozen=True)
class Patience:
    """How generously the coordinator waits."""

    most_s: float
    """Longest wait, and the wait for work of which nothing is known, in seconds."""
    factor: float = 4.0
    """What the slowest known pace is multiplied by."""
    floor_s: float = 300.0
    """What is added: a restart of the site's processes, a lost lease, a slow line, in seconds."""


def wait_s(slowest: Pace | None, patience: Patience) -> float:
    """Return how long to wait for a site that is asked for some work, in seconds.

    A site's pace is known by its own replies to the same work. Its first round of a kind may take
    many times as long as the next ones, for it fills its cache, and no other work tells of that:
    so the first one has all the time there is, and the slowest one is what counts later.

    Args:
        slowest: of this site at this work; None if it has not done it yet.
        patience: the coordinator's.
    """
    if slowest is None:
        return patience.most_s
    return min(patience.most_s, patience.floor_s + patience.factor * slowest.seconds)


def work_name(ask: Ask) -> str:
    """Name the work whose pace is learned: it uses the same images every time it is asked for."""
    part = f" {ask.part}" if ask.kind == "evaluation" else ""
    return f"{work_of(ask)}{part}"


def examples_told(told: Told | None) -> int:
    """Return how many images or rows a reply tells of; in a census, of all parts."""
    if told is None:
        return 0
    if told.kind == "census":
        return sum(sum(counts.values()) for counts in told.examples.values())
    return told.examples


class Paces:
    """The slowest pace of each site at each work of each phase, in one run."""

    def __init__(self) -> None:
        self._slowest: dict[tuple[str, str, str], Pace] = {}

    def of(self, site: str, phase: str, work: str) -> Pace | None:
        """Return the slowest pace of a site at some work, None if it has not done it yet."""
        return self._slowest.get((site, phase, work))

    def learn(self, site: str, phase: str, work: str, pace: Pace) -> None:
        """Take in a reply's pace."""
        before = self.of(site, phase, work)
        if before is None or pace.seconds > before.seconds:
            self._slowest[site, phase, work] = pace

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain data: site, phase, work, then the fields of `Pace`."""
        return [
            {"site": site, "phase": phase, "work": work, **asdict(pace)}
            for (site, phase, work), pace in self._slowest.items()
        ]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> "Paces":
        """Rebuild paces from `to_json`'s plain data."""
        paces = cls()
        for line in data:
            pace = Pace(line["seconds"], line["examples"])
            paces.learn(line["site"], line["phase"], line["work"], pace)
        return paces
