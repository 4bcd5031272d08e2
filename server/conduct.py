"""One run of a study on the coordinator: its state, and what every phase does with it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from common.asks import Ask, Part
from common.digests import Arrays
from common.record import Record
from common.study.phases import PHASE_ORDER, PhaseName
from common.study.schedule import needed_parts
from common.study.schema import Study
from common.updates.fixed_point import MOST_EXAMPLES
from common.wire import Reply
from server.accounts import Accounts
from server.attendance import Register
from server.checkpoints import Checkpoints, CodedStep, State
from server.checkpoints import Part as ModelPart
from server.deadlines import Paces
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
        rounds.paces = Paces.from_json(self.facts.get("paces", []))
        rounds.register = Register.from_json(self.facts.get("attendance", {}))

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
        take: Take,
        exchange: int = 0,
        sites: Sequence[str] | None = None,
        quorum: int | None = None,
    ) -> list[str]:
        """Ask some sites, by default the cohort; return those whose replies `take` accepted.

        The parts of the model that the work needs go with it, those that a site lacks.

        Raises:
            RunStopped: fewer than the quorum, by default the study's, were accepted.
        """
        return self.rounds.exchange(
            phase=phase,
            round=number,
            exchange=exchange,
            ask=ask,
            parts={name: self.parts[name] for name in needed_parts(self.study, ask)},
            take=take,
            sites=self.cohort if sites is None else sites,
            quorum=quorum,
        )

    def finish(self, phase: PhaseName, number: int, **facts: Any) -> None:
        """Note that a round is done, and write a checkpoint."""
        self.state.position = (PHASE_ORDER.index(phase), number)
        self.save(phase)
        self.record.write("round", phase=phase, round=number, **facts)

    def save(self, phase: PhaseName) -> None:
        """Write a checkpoint at the last finished round."""
        self.facts["accounts"] = self.rounds.accounts.to_json()
        self.facts["paces"] = self.rounds.paces.to_json()
        self.facts["attendance"] = self.rounds.register.to_json()
        self.checkpoints.save(self.state, self._digest, phase)

    def hold(self, name: str, arrays: Arrays, step: CodedStep | None = None) -> None:
        """Set a part of the model; `step` leads to it from the one that it replaces."""
        self.parts[name] = ModelPart.of(arrays, step)

    def most_examples(self, site: str, part: Part) -> int:
        """Return how many examples of a part a site can have, going by its census.

        Never more than its share of what one exact sum can weigh, so that no site's claim
        crowds out another's.
        """
        share = MOST_EXAMPLES // len(self.study.sites)
        told = self.facts.get("census", {}).get(site)
        if told is None:
            return share
        counted = sum(told["examples"].get(part, {}).values())
        few = max(told["fewest_examples"] - 1, 0) * len(told["withheld"].get(part, ()))
        return int(min(share, counted + few))

    @property
    def cohort(self) -> list[str]:
        """The sites asked: those of the study, later those whose census was accepted."""
        return list(self.facts.get("cohort", self.study.sites))
