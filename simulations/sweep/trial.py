"""One study of a sweep: trained by all sites, and judged by their validation images alone.

The test images are asked for by nobody: no site is sent that request.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from client.data.cache import ActivationCache
from common.asks import Part
from common.digests import digest_file, digest_value
from common.errors import CorruptFile
from common.figures import Number
from common.statistics import metrics as measure
from common.study.schema import Study
from common.study.strict import Strict
from common.whole_file import write_whole
from server.course import FEDERATED
from server.outcome import total_counts
from server.phases import evaluation
from server.progress import Watch
from server.run_folder import RunFolder
from server.stopwatch import Stopwatch
from simulations.arms import Arm, LabelledWatch, Trials
from simulations.engines.opened import opened
from simulations.prepare import Places, pinned, prepare
from simulations.scenario import Scenario

_JUDGED_BY: tuple[Part, ...] = ("validation",)
_SCORE = "validation.json"  # written last: a folder that holds it is done
_KEPT = {_SCORE, "record.jsonl", "study.yaml", "manifest.csv", "numerics.json", "log.txt"}


@dataclass(frozen=True)
class Task:
    """A trial that is to be run."""

    study: Study
    folder: Path
    label: str  # begins what is shown of it


class ValidationScore(Strict):
    """What a study reached on the validation images of all sites."""

    macro_f1: Number
    """Mean F1 over the classes that occurred (booster)."""
    log_loss: Number
    """Mean negative log-likelihood, in nats, at the temperature chosen on the same images."""
    accuracy: Number
    """Share of right predictions (booster)."""
    softmax_macro_f1: Number
    """Of the softmax head that the booster replaces."""
    softmax_log_loss: Number
    """Of the same head."""
    examples: int = Field(ge=0)
    """Validation images."""
    seconds: float = Field(ge=0)
    """Wall-clock seconds that it took, over all processes that worked on it."""

    @property
    def rank(self) -> tuple[float, float]:
        """What a lower value of is better: by macro F1, equals by log-loss; unmeasured is last."""
        worst = float("inf")
        return (
            worst if self.macro_f1 is None else -self.macro_f1,
            worst if self.log_loss is None else self.log_loss,
        )


def identity(scenario: Scenario, study: Study, places: Places, manifest: Path) -> str:
    """Return the digest of all that a study's score depends on.

    Args:
        scenario: its data and partition matter, its arms do not.
        study: what is run.
        places: weights and numerics.
        manifest: of the whole dataset.
    """
    how = scenario.model_dump(mode="json", exclude={"name", "study", "settings", "arms", "exports"})
    numerics = None if places.numerics is None else digest_file(places.numerics)
    return digest_value([how, pinned(study, places).digest, digest_file(manifest), numerics])


def read_score(folder: Path) -> ValidationScore | None:
    """Read what an earlier trial came to; None: it is not done.

    Raises:
        CorruptFile: it cannot be read.
    """
    try:
        return ValidationScore.model_validate_json((folder / _SCORE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CorruptFile(
            "the score of an earlier trial cannot be read",
            fix="delete its folder; it is tried anew",
            local_detail=str(folder),
        ) from error


def run_trial(
    scenario: Scenario, task: Task, places: Places, manifest: Path, watch: Watch
) -> ValidationScore:
    """Train a study and count its predictions on the validation images, or go on with it.

    Args:
        scenario: data and partition; its arms are not run.
        task: what is tried; what its folder no longer needs is removed at the end.
        places: where to read.
        manifest: of the whole dataset.
        watch: shows progress.

    Raises:
        LeukofedError: the scenario, its data or its weights are unfit, or a quorum is missed.
    """
    folder = task.folder
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder, folder.name)
    shown = LabelledWatch(watch, task.label)
    cache = ActivationCache(places.cache, int(places.cache_gb * 1e9))
    stopwatch = Stopwatch(folder / "seconds.json")
    try:
        with run.locked(), stopwatch.lap("total"):
            study = pinned(task.study, places)
            made = prepare(scenario, study, places, folder, manifest, cache, shown)
            names = made.study.sites
            with opened(scenario.engine, made.virtual, names, [made.study], shown) as engine:
                conduct = Trials(run, engine, made.initial, shown).train(Arm(FEDERATED, made.study))
                evaluation.run(conduct, _JUDGED_BY)
    finally:
        cache.close()
    counts = total_counts(conduct, "validation")
    softmax = counts["softmax"]
    booster = counts.get("booster", softmax)  # there may be no trees
    score = ValidationScore(
        macro_f1=float(measure.macro(measure.f1(booster.confusion))),
        log_loss=measure.log_loss(booster),
        accuracy=float(measure.accuracy(booster.confusion)),
        softmax_macro_f1=float(measure.macro(measure.f1(softmax.confusion))),
        softmax_log_loss=measure.log_loss(softmax),
        examples=booster.examples,
        seconds=stopwatch.seconds["total"],
    )
    write_whole(folder / _SCORE, f"{score.model_dump_json(indent=1)}\n".encode())
    _tidy(folder)
    return score


def _tidy(folder: Path) -> None:
    """Keep of a finished trial its score, its study and its record."""
    for path in folder.iterdir():
        if path.name not in _KEPT:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
