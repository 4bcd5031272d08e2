"""One run of a study on the coordinator: its state, and what every phase does with it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from common.asks import Ask
from common.digests import Arrays
from common.record import Record
from common.study.phases import PHASE_ORDER, PhaseName
from common.study.schema import Study
from common.wire import Reply
from server.accounts import Accounts
from server.checkpoints import Checkpoints, Part, State
from server.progress import Watch
from server.rounds import Rounds

Take = Callable[[str, Reply], None]
Kind = TypeVar("Kind")


def told_as(kind: type[Kind], reply: Reply) -> Kind:
    """Return what a reply tells; `server.intake.check_answers` vouches for its kind."""
    if not isinstance(reply.told, kind):
        raise TypeError(f"expected {kind.__name__}, not {type(reply.told).__name__}")
    return reply.told


class Conduct:
    """A run in progress, from its newest checkpoint on.

    Args:
        study: what was agreed.
        rounds: carries requests to the sites.
        checkpoints: where the state is kept after every round.
        record: the run's account.
        watch: shows progress.
        state: the newest checkpoint's, or the state of a new run.
    """

    def __init__(
        self,
        study: Study,
        rounds: Rounds,
        checkpoints: Checkpoints,
        record: Record,
        watch: Watch,
        state: State,
    ) -> None:
        self.study = study
        self._digest = study.digest
        self.rounds = rounds
        self.checkpoints = checkpoints
        self.record = record
        self.watch = watch
        self.state = state
        self.parts = state.parts
        self.facts = state.facts
        if "accounts" in self.facts:
            rounds.accounts = Accounts.from_json(self.facts["accounts"])

    def remaining(self, phase: PhaseName, first: int, last: int) -> Iterator[int]:
        """Yield the rounds of a phase, `first` to `last`, that no checkpoint holds yet."""
        for number in range(first, last + 1):
            if (PHASE_ORDER.index(phase), number) > self.state.position:
                self.watch.round(phase, number, last)
                yield number

    def ask(
        self,
        phase: PhaseName,
        number: int,
        ask: Ask,
        parts: Sequence[str],
        take: Take,
        exchange: int = 0,
        sites: Sequence[str] | None = None,
    ) -> list[str]:
        """Ask some sites, by default the cohort; return those whose replies `take` accepted.

        Raises:
            RunStopped: fewer than the quorum were accepted.
        """
        return self.rounds.exchange(
            phase=phase,
            round=number,
            exchange=exchange,
            ask=ask,
            parts={name: self.parts[name] for name in parts},
            take=take,
            sites=self.cohort if sites is None else sites,
        )

    def finish(self, phase: PhaseName, number: int, **facts: Any) -> None:
        """Note that a round is done, and write a checkpoint."""
        self.state.position = (PHASE_ORDER.index(phase), number)
        self.save(phase)
        self.record.write("round", phase=phase, round=number, **facts)

    def save(self, phase: PhaseName) -> None:
        """Write a checkpoint at the last finished round."""
        self.facts["accounts"] = self.rounds.accounts.to_json()
        self.checkpoints.save(self.state, self._digest, phase)

    def hold(self, name: str, arrays: Arrays) -> None:
        """Set a part of the model."""
        self.parts[name] = Part.of(arrays)

    @property
    def cohort(self) -> list[str]:
        """The sites asked: those of the study, later those whose census was accepted."""
        return list(self.facts.get("cohort", self.study.sites))
