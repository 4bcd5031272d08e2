"""Looks at a federation again and again, without making the SuperLink work for it."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from common.errors import LeukofedError
from server.control import LinkError
from server.federation import Federation
from server.health import link_answers
from server.operations import all_standings, flower_state, nodes_of
from server.site_list import SiteState
from server.standing import Standing, ended_by_flower, standing
from server.status import Status, chosen, status_of
from server.watch import PENDING_S

_ASK_EVERY_S = 15.0
"""Flower's commands take one to two seconds of processor time: they are not called more often."""


class Lookout:
    """Tells a federation's status as often as it is asked; used in a `with` statement.

    Args:
        federation: whose.
        run: the name of the run to tell of; None: the one at work, else the newest.
    """

    def __init__(self, federation: Federation, run: str | None = None) -> None:
        self._federation = federation
        self._run = run
        self._thread = ThreadPoolExecutor(1)
        self._asked: Future[dict[str, SiteState]] | None = None
        self._asked_at = 0.0
        self._nodes: dict[str, SiteState] = {}
        self._ask_after = 0.0
        self._verdicts: dict[str, tuple[str, str]] = {}  # Flower's, on runs that did not begin

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def status(self, *, complete: bool = False) -> Status:
        """Look; what the SuperLink says of the sites may be some seconds old.

        Args:
            complete: wait for the SuperLink's answer.
        """
        answers = link_answers(self._federation)
        if answers:
            self._ask_for_nodes(complete)
        else:
            self._nodes = {}
        standings = all_standings(self._federation)
        one = self._chosen(standings)
        if one is not None and one.state == "starting" and answers:
            one = self._begun_or_not(one)
        others = [other for other in standings if one is None or other.path != one.path]
        return status_of(self._federation, one, others, link_answers=answers, nodes=self._nodes)

    def _chosen(self, standings: list[Standing]) -> Standing | None:
        if self._run is None:
            return chosen(standings)
        path: Path = self._federation.runs / self._run
        return standing(path)

    def _ask_for_nodes(self, complete: bool) -> None:
        if self._asked is None and (
            not self._nodes or time.monotonic() - self._asked_at > _ASK_EVERY_S
        ):
            self._asked = self._thread.submit(lambda: nodes_of(self._federation)[0])
        if self._asked is not None and (complete or self._asked.done()):
            try:
                self._nodes = self._asked.result()
            except LeukofedError:
                self._nodes = {}
            self._asked, self._asked_at = None, time.monotonic()

    def _begun_or_not(self, one: Standing) -> Standing:
        """Ask Flower after a run that should have begun by now: it may have ended it."""
        is_due = time.monotonic() >= self._ask_after and _age_s(one) > PENDING_S / 3
        if is_due and one.flower_run not in self._verdicts:
            self._ask_after = time.monotonic() + _ASK_EVERY_S
            try:
                state, details = flower_state(self._federation, one.flower_run)
            except LinkError as error:
                state, details = "finished:unknown", error.problem
            if state.startswith("finished"):
                self._verdicts[one.flower_run] = state, details
        if one.flower_run in self._verdicts:
            return ended_by_flower(one, *self._verdicts[one.flower_run])
        return one


def _age_s(one: Standing) -> float:
    return time.time() - one.submitted.timestamp() if one.submitted else 0.0
