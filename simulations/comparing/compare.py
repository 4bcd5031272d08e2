"""A comparison from its scenario to its figures: every arm on every fold with every seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from client.data.cache import ActivationCache
from common.asks import Part
from common.errors import ConfigError, DataError
from common.study.changes import changes
from common.study.schema import Study
from simulations.comparing.account import (
    ArmAccount,
    Comparison,
    differences,
    measured_arms,
    told,
)
from simulations.comparing.divisions import lacking
from simulations.comparing.entrants import Entrant
from simulations.comparing.material import Material, read_material
from simulations.comparing.progress import TrialsWatch
from simulations.comparing.runs import Run, Runner
from simulations.comparing.statistics import FIGURES, Bootstrap, Counts
from simulations.comparing.votes import Votes
from simulations.folds import Fold
from simulations.prepare import Places, dataset, images_of, pinned
from simulations.scenario import Scenario

SOFTMAX = "softmax"


@dataclass(frozen=True)
class Protocol:
    """How often arms are tried, and what their figures are taken from."""

    folds: int = 5
    seeds: int = 1
    only: tuple[int, ...] = ()  # numbers of the folds that are run, from 1; none: all
    same_folds: bool = False  # one division for all seeds
    images: int | None = None  # at most so many, of every group alike
    part: Part = "test"
    replicates: int = 2000

    @property
    def numbers(self) -> tuple[int, ...]:
        """The folds that are run.

        Raises:
            ConfigError: there is no such fold.
        """
        if beyond := [number for number in self.only if not 1 <= number <= self.folds]:
            raise ConfigError(
                f"there is no fold {beyond[0]} of {self.folds}",
                fix=f"name folds from 1 to {self.folds}",
            )
        return tuple(sorted({*self.only})) or tuple(range(1, self.folds + 1))


@dataclass(frozen=True, eq=False)
class Batch:
    """Trials of one run: arms of one study on one fold with one seed."""

    run: Run
    seed: int  # from 0
    fold: int  # from 1
    entrants: tuple[Entrant, ...]

    @cached_property
    def arms(self) -> dict[str, str]:
        """What is trained, and the name under which it is compared."""
        return {arm: one.named(arm) for one in self.entrants for arm in one.arms}


Held = dict[tuple[str, int, int], Votes]
"""Predictions by the arm's name, seed and fold."""


def compare(
    scenario: Scenario,
    base: Study,
    entrants: Sequence[Entrant],
    places: Places,
    protocol: Protocol,
    watch: TrialsWatch,
) -> Comparison:
    """Try arms on every fold with every seed, as far as that was not done before, and compare.

    Args:
        scenario: data and partition.
        base: its study: its seed divides images among sites and into folds.
        entrants: the first is what the others are compared with.
        places: where to read and write.
        protocol: folds and seeds.
        watch: shows progress.

    Raises:
        LeukofedError: the scenario, its data or its weights are unfit, or a site is lost.
    """
    numbers = protocol.numbers
    cache = ActivationCache(places.cache, int(places.cache_gb * 1e9))
    try:
        manifest = dataset(scenario, places, watch)
        root, kept = images_of(scenario, places, manifest), places.out / "data"
        material = read_material(scenario, base, manifest, root, kept, protocol.images)
        sites = {base.sites: material}
        for study in (one.study for one in entrants):
            if study.sites not in sites:
                named = base.model_copy(update={"sites": study.sites})
                other = read_material(scenario, named, manifest, root, kept)
                sites[study.sites] = material.at_sites_of(other)
        divisions = _divisions(material, base.seed, protocol, watch)
        batches = list(_batches(scenario, entrants, base, sites, divisions, numbers, places))
        held = _tried(batches, Runner(scenario, places, cache, watch), watch)
    finally:
        cache.close()
    return _account(scenario, base, entrants, material, protocol, held)


def _divisions(
    material: Material, seed: int, protocol: Protocol, watch: TrialsWatch
) -> list[tuple[Fold, ...]]:
    found: list[tuple[Fold, ...]] = []
    for number in range(protocol.seeds):
        if protocol.same_folds and found:
            found.append(found[0])
            continue
        found.append(material.divided(protocol.folds, seed + number))
        missing = sum(lacking(fold, material.labels, material.sites) for fold in found[-1])
        if missing:
            watch.note(
                f"Of all folds of seed {number + 1}, {missing} times a site has no image of one of "
                "its classes to train on."
            )
    return found


def _batches(
    scenario: Scenario,
    entrants: Sequence[Entrant],
    base: Study,
    sites: Mapping[tuple[str, ...], Material],
    divisions: Sequence[Sequence[Fold]],
    numbers: Sequence[int],
    places: Places,
) -> Iterator[Batch]:
    """List what is to be tried, fold by fold: all arms on the first fold come first."""
    studies: dict[str, list[Entrant]] = {}
    for one in entrants:
        studies.setdefault(one.study.digest, []).append(one)
    settled = {digest: pinned(own[0].study, places) for digest, own in studies.items()}
    for seed, division in enumerate(divisions):
        for number in numbers:
            for digest, own in studies.items():
                study = _seeded(settled[digest], seed)
                variant = own[0].name.partition("/")[0] if _is_variant(own[0], base) else "study"
                label = f"{variant}-seed{seed + 1}-fold{number}"
                run = Run(
                    study, sites[study.sites], division[number - 1], label, scenario.faults
                )  # fmt: skip
                yield Batch(run, seed, number, tuple(own))


def _is_variant(entrant: Entrant, base: Study) -> bool:
    """Say whether an entrant is of a variant, and not of the study itself."""
    return entrant.study.digest != base.digest


def _seeded(study: Study, seed: int) -> Study:
    """Return a study with another seed; its images' views stay as they are."""
    augmentation = study.augmentation.model_copy(update={"seed": study.view_seed})
    return study.model_copy(update={"seed": study.seed + seed, "augmentation": augmentation})


def _tried(batches: Sequence[Batch], runner: Runner, watch: TrialsWatch) -> Held:
    """Return the predictions of all trials; make those that are not held."""
    held: Held = {}
    missing: list[tuple[Batch, list[str]]] = []
    for batch in batches:
        lacks = []
        for arm, name in batch.arms.items():
            votes = runner.held(batch.run, arm)
            if votes is None:
                lacks.append(arm)
            else:
                held[name, batch.seed, batch.fold] = votes
        if lacks:
            missing.append((batch, lacks))
    watch.plan(
        [batch.arms[arm] for batch, lacks in missing for arm in lacks],
        [(name, votes.seconds) for (name, _, _), votes in held.items()],
    )
    for batch, lacks in missing:
        watch.begin(f"fold {batch.fold}, seed {batch.seed + 1}")
        for arm, votes in runner.make(batch.run, lacks):
            held[batch.arms[arm], batch.seed, batch.fold] = votes
            watch.done(batch.arms[arm], votes.seconds)
    return held


def _account(
    scenario: Scenario,
    base: Study,
    entrants: Sequence[Entrant],
    material: Material,
    protocol: Protocol,
    held: Held,
) -> Comparison:
    names = [one.named(arm) for one in entrants for arm in one.arms]
    numbers, part = protocol.numbers, protocol.part
    _check_same_images(held, part)
    group = np.unique(np.asarray(material.groups), return_inverse=True)[1]

    def counts(name: str, classifier: str | None) -> Counts:
        return _counts(material, group, [
            [_taken(held[name, seed, fold], part, classifier) for fold in numbers]
            for seed in range(protocol.seeds)
        ])  # fmt: skip

    own = {name: counts(name, None) for name in names}
    tested = np.flatnonzero(next(iter(own.values())).confusion.any(axis=(0, 1, 3, 4)))
    bootstrap = Bootstrap(tested, protocol.replicates, base.seed)
    means = {one.name: tuple(one.named(arm) for arm in one.arms) for one in entrants}
    measured = measured_arms(own, bootstrap, means)
    heads = {n for (n, _, _), votes in held.items() if SOFTMAX in votes.predicted[part]}
    softmax = measured_arms({n: counts(n, SOFTMAX) for n in names if n in heads}, bootstrap, means)
    seconds = {
        name: [v.seconds for (arm, _, _), v in held.items() if arm == name] for name in measured
    }
    return Comparison(
        name=scenario.name,
        synthetic=scenario.data.kind == "synthetic",
        part=part,
        folds=numbers,
        of_folds=protocol.folds,
        seeds=protocol.seeds,
        same_folds=protocol.same_folds,
        images=len({path for votes in held.values() for path in votes.of(part)}),
        groups=len(tested),
        kept_together=scenario.partition.together,
        replicates=protocol.replicates,
        arms={
            name: ArmAccount(
                **{metric: told(figures[metric]) for metric in FIGURES},
                softmax={m: told(f) for m, f in softmax.get(name, {}).items()},
                seconds=float(np.mean(seconds[name])) if seconds[name] else 0.0,
            )
            for name, figures in measured.items()
        },
        differences=differences(measured),
        settings={
            one.name: {change.setting: change.new for change in changes(base, one.study)}
            for one in entrants
            if _is_variant(one, base)
        },
        study=base.model_dump(mode="json"),
        seconds=sum(votes.seconds for votes in held.values()),
    )


def _taken(votes: Votes, part: Part, classifier: str | None) -> Mapping[str, int]:
    return votes.of(part) if classifier is None else votes.predicted[part][classifier]


def _counts(
    material: Material,
    group: NDArray[np.int64],
    predicted: Sequence[Sequence[Mapping[str, int]]],
) -> Counts:
    numbered = [
        [{material.place[path]: label for path, label in fold.items()} for fold in folds]
        for folds in predicted
    ]
    return Counts.of(numbered, material.labels, group, len(material.classes))


def _check_same_images(held: Held, part: Part) -> None:
    """Check that arms can be paired: on each fold, with each seed, the same images of all.

    Raises:
        DataError: they differ.
    """
    seen: dict[tuple[int, int], tuple[str, frozenset[str]]] = {}
    for (name, seed, fold), votes in held.items():
        found = frozenset(votes.of(part))
        other, images = seen.setdefault((seed, fold), (name, found))
        if images != found:
            raise DataError(
                f"arms {other} and {name} were not tried on the same images in fold {fold}: "
                f"{len(images ^ found)} are of one alone",
                fix="a variant leaves images out that others use: compare it by itself",
            )
