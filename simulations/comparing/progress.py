"""What the researcher sees of a comparison: one bar over all trials, and what is under way."""

import time
from collections import defaultdict
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from common.durations import duration


class Pace:
    """How long trials take, by arm, and so how long those will that are left."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = defaultdict(list)

    def took(self, arm: str, seconds: float) -> None:
        """Note a finished trial."""
        self._seconds[arm].append(seconds)

    def left(self, arms: list[str]) -> float | None:
        """Return the seconds that these trials will take; None if nothing is known yet.

        An arm that was never seen is judged by the mean of those that were.
        """
        means = {arm: sum(all_) / len(all_) for arm, all_ in self._seconds.items()}
        if not means:
            return None
        usual = sum(means.values()) / len(means)
        return sum(means.get(arm, usual) for arm in arms)


class TrialsWatch:
    """Shows trials, and as a `server.progress.Watch` what the one under way is at.

    On a terminal it is one line that moves; elsewhere a line for each finished trial.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._left: list[str] = []
        self._of = 0
        self._begun = _now()
        self._label = ""
        self._pace = Pace()
        self._progress = Progress(
            TextColumn("{task.completed} of {task.total} trials"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, left="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def plan(self, arms: list[str], held: list[tuple[str, float]]) -> None:
        """Note which trials are left, by the names of their arms, and what earlier ones took."""
        self._left, self._of = list(arms), len(arms) + len(held)
        for arm, seconds in held:
            self._pace.took(arm, seconds)
        if held:
            self.note(f"{len(held)} of {self._of} trials were made before.")
        self._progress.update(self._task, total=self._of, completed=len(held))

    def begin(self, label: str) -> None:
        """Note that trials of one run begin; `label` says which."""
        self._label, self._begun = label, _now()

    def done(self, arm: str, seconds: float) -> None:
        """Note that a trial is finished."""
        self._left.remove(arm)
        self._pace.took(arm, seconds)
        spent = _now() - self._begun
        self._begun = _now()
        number = self._of - len(self._left)
        self._progress.update(self._task, completed=number, left=self._told_left())
        if not self._console.is_terminal:
            left = self._told_left()
            self.note(
                f"{number} of {self._of}: {arm}, {self._label}: {duration(spent)}"
                + (f"; {left}" if left else "")
            )

    def phase(self, name: str, rounds_total: int) -> None:
        """Show the phase."""
        self._show(name)

    def round(self, phase: str, round: int, of: int) -> None:
        """Show the round."""
        self._show(f"{phase} {round} of {of}")

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        """Show nothing: there is no room for sites."""

    def work(self, worker: str, done: int, of: int) -> None:
        """Show how far a long job is."""
        self._show(f"{worker}: {done} of {of}")

    def note(self, text: str) -> None:
        """Show one sentence."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _show(self, text: str) -> None:
        label = f"{self._label}, {text}" if self._label else text
        self._progress.update(self._task, description=label, refresh=True)

    def _told_left(self) -> str:
        left = self._pace.left(self._left)
        return f"about {duration(left)} left" if left and self._left else ""


def _now() -> float:
    return time.monotonic()
