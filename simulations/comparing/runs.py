"""Arms of one study on one fold with one seed: trained, evaluated, and kept image by image."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from pydantic import JsonValue

from client.data.cache import ActivationCache
from client.data.manifest import read_table
from client.site import Site
from common.digests import digest_value
from common.errors import CorruptFile
from common.study.schema import Study
from common.whole_file import write_whole
from server.attendance import rounds_lost
from server.progress import Watch
from server.run_folder import RunFolder
from server.stopwatch import Stopwatch
from simulations.arms import Trials, model_arms
from simulations.baseline_arms import SiteProbabilities, colour_probabilities, probe_probabilities
from simulations.comparing.material import Material
from simulations.comparing.votes import Ballot, Votes
from simulations.engines.inprocess import LoopbackGrid
from simulations.engines.opened import Opened
from simulations.folds import Fold
from simulations.partition import write_partition
from simulations.prepare import Places, Prepared, faulty, prepare
from simulations.scenario import POOLED, Scenario

_MODELS = ("federated", "local_only", "pooled")


@dataclass(frozen=True, eq=False)
class Run:
    """One study on one fold.

    Its folder is named after a digest of study and images, and of the site and part of each: what
    is found there was computed from these.
    """

    study: Study  # pinned, with the seed of this run
    material: Material
    fold: Fold
    label: str  # begins the folder's name
    faults: Mapping[str, JsonValue] = field(default_factory=dict)  # of the scenario

    @cached_property
    def name(self) -> str:
        """The folder's name."""
        rows = self.material.parted(self.fold)
        faults = [dict(self.faults)] if self.faults else []
        identity = [self.study.digest, rows, list(self.material.digests), *faults]
        return f"{self.label}-{digest_value(identity)[:12]}"


class Runner:
    """Runs, one after another; all share one cache, one machine's numerics and one watch.

    Args:
        scenario: data.
        places: where to read and write; runs lie in `runs/` of its `out`.
        cache: of activations.
        watch: shows progress.
    """

    def __init__(
        self, scenario: Scenario, places: Places, cache: ActivationCache, watch: Watch
    ) -> None:
        self._scenario = scenario
        self._places = places
        self._cache = cache
        self._watch = watch

    def held(self, run: Run, arm: str) -> Votes | None:
        """Return an arm's predictions, if they were made before.

        Raises:
            CorruptFile: the file that holds them cannot be read.
        """
        file = self._folder(run) / "arms" / f"{arm}.json"
        if not file.is_file():
            return None
        try:
            return Votes.model_validate(json.loads(file.read_bytes()))
        except ValueError as error:
            raise CorruptFile(
                f"the predictions of arm {arm} cannot be read",
                fix="delete the file; they are made anew",
                local_detail=str(file),
            ) from error

    def make(self, run: Run, arms: Sequence[str]) -> Iterator[tuple[str, Votes]]:
        """Train and evaluate arms that are not held, each from its newest checkpoint on.

        What only goes on with them is deleted at the end.

        Args:
            run: the study and its fold.
            arms: `federated`, `pooled`, `linear_probe`, `colour_only`, `local_only.SITE`.

        Yields:
            Each arm with its predictions, once they are on disk.

        Raises:
            LeukofedError: data or weights are unfit, or a site is lost.
        """
        path = self._folder(run)
        path.mkdir(parents=True, exist_ok=True)
        folder = RunFolder(path, run.name)
        stopwatch = Stopwatch(path / "seconds.json")
        with folder.locked():
            with stopwatch.lap("preparing"):
                prepared = self._prepared(run, path)
            rows = (row for _, row in read_table(path / "manifest.csv", {}))
            ballot = Ballot(path, prepared.virtual.images, rows)
            train = self._training(prepared, folder, ballot, arms)
            (path / "arms").mkdir(exist_ok=True)
            for arm in arms:
                ballot.arm = arm
                with stopwatch.lap(arm):
                    train(arm)
                votes = ballot.counted(run.study.sites, stopwatch.seconds[arm])
                write_whole(path / "arms" / f"{arm}.json", votes.model_dump_json().encode())
                yield arm, votes
            _tidy(path)

    def _folder(self, run: Run) -> Path:
        return self._places.out / "runs" / run.name

    def _prepared(self, run: Run, path: Path) -> Prepared:
        """Prepare a run on its fold; compute as the first run of the comparison does."""
        if not (path / "manifest.csv").is_file():
            material = run.material
            rows = faulty(material.parted(run.fold), self._scenario, run.study, material.root)
            write_partition(rows, path / "manifest.csv")
        common = self._places.out / "numerics.json"
        places = replace(self._places, numerics=common) if common.is_file() else self._places
        prepared = prepare(
            self._scenario, run.study, places, path, run.material.manifest, self._cache,
            self._watch, releases=False,
        )  # fmt: skip
        if not common.is_file():
            write_whole(common, (path / "numerics.json").read_bytes())
        return prepared

    def _training(
        self, prepared: Prepared, folder: RunFolder, ballot: Ballot, arms: Sequence[str]
    ) -> Callable[[str], None]:
        """Return what trains and evaluates one of these arms."""
        study, initial, virtual = prepared.study, prepared.initial, prepared.virtual
        models = {arm.name: arm for arm in model_arms(study, _MODELS) if arm.name in arms}
        studies = [study, *(arm.study for arm in models.values())]
        names = [*study.sites, *([POOLED] if POOLED in models else [])]
        sites: dict[str, Site] = {n: virtual.site(n, studies, ballot.take) for n in names}
        own = {name: sites[name] for name in study.sites}
        engine = Opened(LoopbackGrid(virtual.nodes(sites)), sites.__getitem__)
        trials = Trials(folder, engine, initial, self._watch)
        baselines: dict[str, Callable[[], SiteProbabilities]] = {
            "linear_probe": partial(probe_probabilities, own, study, initial),
            "colour_only": partial(colour_probabilities, own, study),
        }

        def train(arm: str) -> None:
            if arm in models:
                trained = trials.train(models[arm])
                lost = rounds_lost(trained.rounds.register.participation(trained.study.sites))
                for site, rounds in lost.items():
                    self._watch.note(
                        f"{arm} was trained without {site} in {rounds} rounds; why is in "
                        f"{folder.path / 'record.jsonl'}"
                    )
                trials.evaluate(study, models[arm], trained)
                return
            self._watch.phase(arm.replace("_", " "), 1)
            for part, found in baselines[arm]().items():
                for name, rows in found.items():
                    ballot.take(name, part, own[name].bench(study).examples(part), {"probe": rows})

        return train


def _tidy(path: Path) -> None:
    """Keep of a run what its figures rest on, and its account; the models go."""
    for name in ("checkpoints", "sites", "predicted"):
        shutil.rmtree(path / name, ignore_errors=True)
    (path / "initial.safetensors").unlink(missing_ok=True)
