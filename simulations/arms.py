"""The arms of a comparison: one study, trained by all sites, by each alone, and pooled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from common.initial_model import InitialModel
from common.study.personal import shared
from common.study.schema import Study
from server.checkpoints import State
from server.conduct import Conduct
from server.course import FEDERATED, first_state, open_conduct, train
from server.phases import evaluation
from server.progress import Watch
from server.rounds import Rounds
from server.run_folder import RunFolder
from simulations.engines.opened import Opened
from simulations.scenario import POOLED

DEADLINE_S = 24 * 3600.0  # an engine sees to it that nothing is late: nodes answer, or are stopped


@dataclass(frozen=True)
class Arm:
    """One model of the comparison: who trains it, under which variant of the study."""

    name: str
    study: Study


def model_arms(study: Study, names: Sequence[str]) -> list[Arm]:
    """List the arms that train the whole model.

    Each variant differs from the study only in its sites, so all start from the same initial
    model and use the same seeds and rounds.
    """
    arms = []
    if FEDERATED in names:
        arms.append(Arm(FEDERATED, study))
    if "local_only" in names:
        arms += [Arm(f"local_only.{site}", _trained_by(study, site)) for site in study.sites]
    if "pooled" in names:
        arms.append(Arm("pooled", _trained_by(study, POOLED)))
    return arms


def _trained_by(study: Study, site: str) -> Study:
    """Return the variant for one site, to which every part of the model belongs."""
    return shared(study).model_copy(update={"sites": (site,), "quorum": 1})


class LabelledWatch:
    """A watch that names the arm in every phase."""

    def __init__(self, watch: Watch, arm: str) -> None:
        self._watch = watch
        self._arm = arm

    def phase(self, name: str, rounds_total: int) -> None:
        """Note that a phase begins."""
        self._watch.phase(f"{self._arm}: {name}", rounds_total)

    def round(self, phase: str, round: int, of: int) -> None:
        """Note that a round begins."""
        self._watch.round(f"{self._arm}: {phase}", round, of)

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        """Note a site's status."""
        self._watch.site(phase, round, site, status, seconds)

    def work(self, worker: str, done: int, of: int) -> None:
        """Note how far a long job is."""
        self._watch.work(worker, done, of)

    def note(self, text: str) -> None:
        """Show one sentence."""
        self._watch.note(text)


@dataclass(frozen=True)
class Trials:
    """The arms of one run: what they share, and how each is trained and evaluated."""

    folder: RunFolder
    engine: Opened
    initial: InitialModel
    watch: Watch

    def train(self, arm: Arm) -> Conduct:
        """Train an arm from its newest checkpoint on, up to its temperatures."""
        conduct = self._conduct(arm.study, arm.name, partial(first_state, self.initial))
        train(conduct, self.initial.fronts)
        return conduct

    def evaluate(self, study: Study, arm: Arm, trained: Conduct) -> Conduct:
        """Evaluate an arm's model on the held-back images of all of the study's sites.

        The federated arm goes on with its own run, as a federation of hospitals does. Another
        arm's sites are fewer than those that evaluate, so that is a run of its own.
        """
        if arm.study == study:
            evaluation.run(trained)
            return trained

        def state() -> State:
            facts = {name: trained.facts[name] for name in ("temperatures", "census")}
            return State((0, 1), dict(trained.parts), facts)

        conduct = self._conduct(study, f"{arm.name}.evaluation", state)
        evaluation.run(conduct)
        return conduct

    def _conduct(self, study: Study, name: str, start: Callable[[], State]) -> Conduct:
        make_rounds = partial(
            Rounds, self.engine.grid, deadline_s=DEADLINE_S, poll_s=self.engine.poll_s
        )
        watch = LabelledWatch(self.watch, name.removesuffix(".evaluation"))
        return open_conduct(self.folder, study, name, make_rounds, watch, start)
