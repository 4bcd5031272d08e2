"""The arms of a comparison: one study, trained by all sites, by each alone, and pooled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.initial_model import InitialModel
from common.record import Record
from common.study.schema import Study
from server.checkpoints import Checkpoints, Part, State
from server.conduct import Conduct
from server.phases import backbones, booster, calibration, census, evaluation, fusion
from server.progress import Watch
from server.rounds import Rounds
from simulations.engines.inprocess import LoopbackGrid
from simulations.scenario import POOLED

DEADLINE_S = 24 * 3600.0  # nodes answer while they are asked: nothing is ever late


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
    if "federated" in names:
        arms.append(Arm("federated", study))
    if "local_only" in names:
        arms += [Arm(f"local_only.{site}", _trained_by(study, site)) for site in study.sites]
    if "pooled" in names:
        arms.append(Arm("pooled", _trained_by(study, POOLED)))
    return arms


def _trained_by(study: Study, site: str) -> Study:
    return study.model_copy(update={"sites": (site,), "quorum": 1})


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

    folder: Path
    run: str
    grid: LoopbackGrid
    initial: InitialModel
    watch: Watch

    def train(self, arm: Arm) -> Conduct:
        """Train an arm from its newest checkpoint on, up to its temperatures."""
        conduct = self._conduct(arm.study, arm.name, self._initial_state)
        census.run(conduct, self.initial.fronts)
        backbones.run(conduct)
        fusion.run(conduct)
        booster.run(conduct)
        calibration.run(conduct)
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

    def _initial_state(self) -> State:
        parts = {name: Part.of(arrays) for name, arrays in self.initial.parts.items()}
        return State((0, 0), parts, {})

    def _conduct(self, study: Study, name: str, start: Callable[[], State]) -> Conduct:
        """Open a run at its newest intact checkpoint.

        Sites answer each step of a run once, so a run that falls back behind a damaged
        checkpoint goes on under another name.
        """
        skipped: list[str] = []
        checkpoints = Checkpoints(self.folder / "checkpoints" / name)
        state = checkpoints.latest(study.digest, note=skipped.append)
        for text in skipped:
            self.watch.note(text)
        state = state or start()
        state.facts["fallbacks"] = state.facts.get("fallbacks", 0) + len(skipped)
        run = f"{self.run}.{name}"
        if state.facts["fallbacks"]:
            run += f".{state.facts['fallbacks']}"
        watch = LabelledWatch(self.watch, name.removesuffix(".evaluation"))
        record = Record(self.folder / "record.jsonl", study=study.digest, run=run)
        rounds = Rounds(self.grid, study, run, record, watch, DEADLINE_S)
        return Conduct(study, rounds, checkpoints, record, watch, state)
