"""A scenario from its images to its report: every arm, the metrics, the page and the release."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from client.data.cache import ActivationCache
from client.data.manifest import read_table
from client.site import Site
from common.digests import digest_file, digest_value
from common.initial_model import InitialModel, read_fronts
from common.study.schema import Study
from server.conduct import Conduct
from server.course import FEDERATED, finish
from server.outcome import federated_metrics
from server.progress import Watch
from server.run_folder import RunFolder, open_run
from server.stopwatch import Stopwatch
from simulations.arms import Trials, model_arms
from simulations.baseline_arms import SiteCounts, colour_arm, probe_arm
from simulations.engines.opened import Opened, opened
from simulations.exports.export import check_formats, export_run
from simulations.outcome import Outcome, environment, with_other_arms
from simulations.prepare import Places, Prepared, dataset, pinned, prepare
from simulations.scenario import POOLED, ArmName, Scenario
from simulations.telling import partition_told


def simulate(
    scenario: Scenario, study: Study, places: Places, watch: Watch, *, fresh: bool
) -> RunFolder:
    """Run a scenario, or go on with the newest unfinished run of the same scenario and data.

    Args:
        scenario: data, partition and arms.
        study: its study; its initial model is made here.
        places: where to read and write.
        watch: shows progress.
        fresh: start over even if an unfinished run is there.

    Returns:
        The folder, with `report.html`, `metrics.json`, `record.jsonl` and `release/`.

    Raises:
        LeukofedError: the scenario, its data or its weights are unfit, or a quorum is missed.
    """
    check_formats(scenario.exports)
    cache = ActivationCache(places.cache, int(places.cache_gb * 1e9))
    try:
        manifest = dataset(scenario, places, watch)
        study = pinned(study, places)
        identity = digest_value([scenario.digest, study.digest, digest_file(manifest)])
        folder, resumed = open_run(places.out, scenario.name, identity, fresh=fresh)
        if resumed:
            watch.note(f"Going on with {folder.path} (start over with --fresh).")
        with folder.locked():
            _run(scenario, study, places, watch, folder, manifest, cache)
            _tidy(folder.path / "checkpoints")
        return folder
    finally:
        cache.close()


def _run(
    scenario: Scenario,
    study: Study,
    places: Places,
    watch: Watch,
    folder: RunFolder,
    manifest: Path,
    cache: ActivationCache,
) -> None:
    path = folder.path
    stopwatch = Stopwatch(path / "seconds.json")
    with stopwatch.lap("total"):
        prepared = prepare(scenario, study, places, path, manifest, cache, watch)
        fronts = read_fronts(path / "fronts.safetensors", prepared.initial.fronts)
        outcome = _arms(scenario, prepared, folder, stopwatch, watch)
    conduct = outcome.evaluated[FEDERATED]
    rows = [dict(row) for _, row in read_table(prepared.virtual.manifest, {})]
    told = partition_told(scenario, rows, prepared.virtual.images)
    conduct.record.write("partition", by=told.by, sha256=told.sha256)
    federated = federated_metrics(
        conduct, prepared.initial, environment(prepared.virtual.numerics, scenario.engine.name),
        name=scenario.name, synthetic=scenario.data.kind == "synthetic",
        seconds_total=stopwatch.seconds["total"],
    ).model_copy(update={"partition": told})  # fmt: skip
    finish(folder, conduct, with_other_arms(federated, outcome), fronts, watch)
    if scenario.exports:
        watch.phase("exports", 1)
        export_run(path, scenario.exports, path / "exports")


def _arms(
    scenario: Scenario, prepared: Prepared, folder: RunFolder, stopwatch: Stopwatch, watch: Watch
) -> Outcome:
    study, virtual, initial = prepared.study, prepared.virtual, prepared.initial
    arms = model_arms(study, scenario.arms)
    studies = [study, *(arm.study for arm in arms)]
    names = (*study.sites, POOLED)
    evaluated: dict[str, Conduct] = {}
    cohort = list(study.sites)
    with opened(scenario.engine, virtual, names, studies, watch) as engine:
        trials = Trials(folder, engine, initial, watch)
        for arm in arms:  # the federated one first
            if not {*arm.study.sites} <= {*cohort, POOLED}:
                watch.note(f"{arm.name} is left out: this site took no part in the federated run")
                continue
            with stopwatch.lap(arm.name):
                evaluated[arm.name] = trials.evaluate(study, arm, trials.train(arm))
            cohort = evaluated[FEDERATED].cohort
    baselines = _baselines(scenario, study, initial, engine, cohort, stopwatch, watch)
    seconds = {name: s for name, s in stopwatch.seconds.items() if name != "total"}
    return Outcome(evaluated, baselines, seconds)


def _baselines(
    scenario: Scenario,
    study: Study,
    initial: InitialModel,
    engine: Opened,
    cohort: Sequence[str],
    stopwatch: Stopwatch,
    watch: Watch,
) -> dict[str, SiteCounts]:
    counts: dict[ArmName, Callable[[Mapping[str, Site]], SiteCounts]] = {
        "linear_probe": partial(probe_arm, study=study, initial=initial),
        "colour_only": partial(colour_arm, study=study),
    }
    wanted = {name: count for name, count in counts.items() if name in scenario.arms}
    baselines: dict[str, SiteCounts] = {}
    with ExitStack() as stack:
        own = {name: stack.enter_context(closing(engine.site(name))) for name in cohort if wanted}
        for name, count in wanted.items():
            with stopwatch.lap(name):
                watch.phase(name.replace("_", " "), 1)
                baselines[name] = count(own)
    return baselines


def _tidy(checkpoints: Path) -> None:
    """Keep of a finished run the federated arm's checkpoint alone."""
    for folder in checkpoints.iterdir():
        if folder.name != FEDERATED:
            shutil.rmtree(folder)
