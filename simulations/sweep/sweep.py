"""A sweep: studies tried and compared on validation images, and the best of them, once, on test.

Successive halving (Jamieson & Talwalkar 2016, algorithm 1) spends fewer rounds of training on
what is behind early. A trial with fewer rounds is a study of its own, whose rates fall to their
last value within those rounds; it is not the beginning of the longer one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from client.site_config import Numerics
from client.training.numerics import measured, settled_numerics
from common.errors import CorruptFile, RunStopped
from common.model.initial import build_branches, check_chains
from common.study.schema import Study
from common.study.strict import Strict
from common.whole_file import write_whole
from server.progress import Watch
from server.run_folder import RunFolder
from simulations.prepare import Places, dataset
from simulations.run import simulate
from simulations.scenario import Scenario
from simulations.sweep.candidates import Candidate, rungs, shortened
from simulations.sweep.runner import Outcome, run_tasks
from simulations.sweep.trial import Task, ValidationScore, identity, read_score

_LEDGER = "finals.json"


@dataclass(frozen=True)
class Trial:
    """A candidate at one rung, and what became of it."""

    candidate: Candidate
    divisor: int  # of the rounds of training; 1: all of them
    folder: Path
    score: ValidationScore | None
    problem: str = ""

    @property
    def rank(self) -> tuple[float, float, float, int]:
        """What sorts trials, the best first: by rounds, then as `ValidationScore.rank` says."""
        worst = (float("inf"), float("inf"))
        return (
            float("inf") if self.score is None else self.divisor,
            *(worst if self.score is None else self.score.rank),
            self.candidate.number,
        )


class Final(Strict):
    """One look at the test part."""

    study: str
    """Digest of the study that was chosen."""
    run: str
    """Name of its run."""


_FINALS = TypeAdapter(list[Final])


def sweep(
    scenario: Scenario,
    tried: Sequence[Candidate],
    places: Places,
    watch: Watch,
    *,
    eta: int | None,
    jobs: int,
) -> list[Trial]:
    """Try studies, or go on where an earlier sweep in the same folder was stopped.

    Args:
        scenario: data and partition; its arms are not run.
        tried: the studies.
        places: where to read; trials lie in `places.out/trials`, by digest.
        watch: shows progress.
        eta: keep one of so many at each rung of successive halving; None: one rung for all.
        jobs: how many at a time.

    Returns:
        Every trial, the best first: those of the last rung by macro F1, ties by log-loss.

    Raises:
        LeukofedError: data or weights are unfit, or no study could be trained.
    """
    manifest = dataset(scenario, places, watch)
    found: list[Trial] = []
    running = list(tried)
    divisors = [1] if eta is None else rungs(len(tried), tried[0].study, eta)
    for place, divisor in enumerate(divisors):
        trials = _rung(scenario, running, divisor, places, manifest, watch, jobs)
        found += trials
        ranked = sorted((trial for trial in trials if trial.score), key=lambda trial: trial.rank)
        if not ranked:
            raise RunStopped(
                f"none of {len(trials)} studies could be trained: {trials[0].problem}",
                fix="correct the scenario or what is swept; `leukofed-sim run` shows more of it",
                local_detail=str(trials[0].folder),
            )
        if eta is not None and place + 1 < len(divisors):
            kept = ranked[: max(1, len(running) // eta)]
            running = sorted((trial.candidate for trial in kept), key=lambda one: one.number)
            watch.note(f"{len(trials)} studies with 1/{divisor} of the rounds: {len(kept)} go on")
    return sorted(found, key=lambda trial: trial.rank)


def same_numerics(study: Study, places: Places, jobs: int, watch: Watch) -> Places:
    """Return places whose numerics all trials share: given, measured before, or measured now.

    So that trials differ in their settings alone, and share the machine's cores.
    """
    if places.numerics is not None:
        return places
    file = places.out / "numerics.json"

    def measure() -> Numerics:
        watch.phase("measuring this machine", 1)
        check_chains(study)
        found = measured(build_branches(study, places.weights), study.imaging.size)
        return found.model_copy(update={"threads": max(1, found.threads // jobs)})

    settled_numerics("auto", file, measure)
    return replace(places, numerics=file)


def final(
    scenario: Scenario, best: Candidate, places: Places, watch: Watch
) -> tuple[RunFolder, int]:
    """Run the chosen study with all arms and its test part; one that was run is not run again.

    Returns:
        Its folder, and for how many other choices the test part was looked at before.

    Raises:
        LeukofedError: as `simulations.run.simulate`.
    """
    out = places.out / "final"
    ledger = out / _LEDGER
    looks = _read(ledger)
    others = len({look.study for look in looks} - {best.study.digest})
    for look in looks:
        if look.study == best.study.digest and (out / look.run / "metrics.json").is_file():
            return RunFolder(out / look.run, look.run), others
    folder = simulate(scenario, best.study, replace(places, out=out), watch, fresh=False)
    looks.append(Final(study=best.study.digest, run=folder.run))
    write_whole(ledger, _FINALS.dump_json(looks, indent=1))
    return folder, others


def _rung(
    scenario: Scenario,
    running: Sequence[Candidate],
    divisor: int,
    places: Places,
    manifest: Path,
    watch: Watch,
    jobs: int,
) -> list[Trial]:
    tasks, outcomes = [], {}
    for place, candidate in enumerate(running, start=1):
        study = shortened(candidate.study, divisor)
        digest = identity(scenario, study, places, manifest)
        folder = places.out / "trials" / digest[:16]
        share = f", 1/{divisor} of the rounds" if divisor > 1 else ""
        tasks.append(Task(study, folder, f"trial {place} of {len(running)}{share}"))
        if score := read_score(folder):
            outcomes[folder] = Outcome(score)
    waiting = {task.folder: task for task in tasks if task.folder not in outcomes}
    if outcomes:
        watch.note(f"{len(running) - len(waiting)} of {len(running)} trials were done before.")
    done = run_tasks(scenario, list(waiting.values()), places, manifest, jobs, watch)
    outcomes |= dict(zip(waiting, done, strict=True))
    return [
        Trial(candidate, divisor, task.folder, outcomes[task.folder].score,
              outcomes[task.folder].problem)
        for candidate, task in zip(running, tasks, strict=True)
    ]  # fmt: skip


def _read(ledger: Path) -> list[Final]:
    try:
        return _FINALS.validate_json(ledger.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        raise CorruptFile(
            "the list of looks at the test part cannot be read",
            fix="restore it from a copy: without it nobody knows how often the test part was seen",
            local_detail=str(ledger),
        ) from error
