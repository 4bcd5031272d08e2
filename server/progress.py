"""What the operator sees of a run: live lines on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from common.durations import duration

DONE = "done"
"""The status of a site whose reply was accepted; every other one is a loss of that reply."""
_QUIET_S = 5.0  # what takes less long goes unmentioned in plain lines


class Watch(Protocol):
    """Is told what happens, and shows it."""

    def phase(self, name: str, rounds_total: int) -> None:
        """Note that a phase begins."""

    def round(self, phase: str, round: int, of: int) -> None:
        """Note that a round begins; resumed phases begin later than round 1."""

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        """Note a site's status in this round: `asked`, `done`, or why nothing of it counts."""

    def work(self, worker: str, done: int, of: int) -> None:
        """Note how far a long job in this process is; `worker` says who does what."""

    def note(self, text: str) -> None:
        """Show one sentence at once."""


class Watches:
    """Several watches as one: each is told everything."""

    def __init__(self, *watches: Watch) -> None:
        self._watches = watches

    def phase(self, name: str, rounds_total: int) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.phase(name, rounds_total)

    def round(self, phase: str, round: int, of: int) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.round(phase, round, of)

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.site(phase, round, site, status, seconds)

    def work(self, worker: str, done: int, of: int) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.work(worker, done, of)

    def note(self, text: str) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.note(text)


class _Job:
    """A long job within a round: how far it is, and when it may be done."""

    def __init__(self) -> None:
        self._worker, self._of = "", 0
        self._done = self._first = 0
        self._since = 0.0

    def told(self, worker: str, done: int, of: int) -> str:
        """Say it; the time left is judged from what has been seen of this job."""
        if (worker, of) != (self._worker, self._of) or done < self._done:
            self._worker, self._of, self._first, self._since = worker, of, done, _now()
        self._done = done
        text = f"{worker}: {done} of {of}"
        if done in (self._first, of):
            return text
        left = (_now() - self._since) / (done - self._first) * (of - done)
        return f"{text}, about {duration(left)} left"


class PlainProgress:
    """A line for each finished round and each note, for log files and pipes.

    A long job within a round, and a phase without rounds, have lines too, but only if they take
    longer than a few seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line = ""
        self._sites: dict[str, str] = {}
        self._since = self._told = _now()
        self._job = _Job()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish()

    def phase(self, name: str, rounds_total: int) -> None:
        """Print the round before, if any."""
        self._begin(name)

    def round(self, phase: str, round: int, of: int) -> None:
        """Print the round before, if any."""
        self._begin(f"{phase}, round {round} of {of}")

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        """Keep the status for the round's line."""
        self._sites[site] = status

    def work(self, worker: str, done: int, of: int) -> None:
        """Print how far the job is, every few seconds."""
        text = self._job.told(worker, done, of)
        if _now() - self._told >= _QUIET_S:
            self._told = _now()
            _print(self._console, f"  {text}")

    def note(self, text: str) -> None:
        """Print the text."""
        _print(self._console, text)

    def _begin(self, line: str) -> None:
        self._finish()
        self._line, self._sites = line, {}
        self._since = self._told = _now()

    def _finish(self) -> None:
        spent = _now() - self._since
        if self._line and (self._sites or spent >= _QUIET_S):
            sites = f"{_count(self._sites)} in " if self._sites else ""
            _print(self._console, f"{self._line}: {sites}{duration(spent)}")
        self._line = ""


class LiveProgress:
    """One line that moves, for the phase in progress: rounds, sites, time spent, time left.

    A finished phase becomes an ordinary line above it.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rounds]}"),
            TextColumn("{task.fields[sites]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._name = ""
        self._sites: dict[str, str] = {}
        self._job = _Job()
        self._first: int | None = None  # round at which this process began the phase
        self._since = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._complete()
        self._progress.stop()

    def phase(self, name: str, rounds_total: int) -> None:
        """Complete the line of the phase before and open one."""
        self._complete()
        self._task = self._progress.add_task(
            name, total=max(rounds_total, 1), rounds="", sites="", left=""
        )
        self._name, self._first, self._since = name, None, _now()

    def round(self, phase: str, round: int, of: int) -> None:
        """Move the line; the time left is judged from the rounds this process has seen."""
        if self._task is None:
            self.phase(phase, of)
        if self._first is None:
            self._first = round
        seen = round - self._first
        left = (_now() - self._since) / seen * (of - round + 1) if seen else 0.0
        self._sites = {}
        self._update(
            completed=max(round - 1, 0),
            total=of,
            rounds=f"round {round} of {of}",
            sites="",
            left=f"about {duration(left)} left" if seen else "",
        )

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        """Count the site."""
        self._sites[site] = status
        self._update(sites=_count(self._sites))

    def work(self, worker: str, done: int, of: int) -> None:
        """Show how far the job is, in the place of the sites."""
        text = self._job.told(worker, done, of)
        self._update(sites=text if done < of else _count(self._sites))

    def note(self, text: str) -> None:
        """Print the text above the line."""
        _print(self._progress.console, text)

    def _complete(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self.note(f"{self._name}: done in {duration(_now() - self._since)}")
        self._task = None

    def _update(self, **fields: str | float | None) -> None:
        if self._task is not None:
            self._progress.update(self._task, refresh=True, **fields)  # type: ignore[arg-type]


def progress_for(console: Console) -> LiveProgress | PlainProgress:
    """Choose what fits the console; to be used in a `with` statement."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


def _count(sites: dict[str, str]) -> str:
    done = sum(status == DONE for status in sites.values())
    return f"{done} of {len(sites)} sites" if sites else ""


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _now() -> float:
    return time.monotonic()
