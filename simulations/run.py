"""A scenario from its images to its report: every arm, the metrics, the page and the release."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from client.data.cache import ActivationCache
from common.digests import digest_file, digest_value
from common.initial_model import read_fronts
from common.study.schema import Study
from server.conduct import Conduct
from server.course import FEDERATED, finish
from server.outcome import federated_metrics
from server.progress import Watch
from server.run_folder import RunFolder, open_run
from server.stopwatch import Stopwatch
from simulations.arms import Trials, model_arms
from simulations.baseline_arms import SiteCounts, colour_arm, probe_arm
from simulations.engines.inprocess import LoopbackGrid
from simulations.exports.export import check_formats, export_run
from simulations.outcome import Outcome, environment, with_other_arms
from simulations.prepare import Places, Prepared, dataset, pinned, prepare
from simulations.scenario import POOLED, ArmName, Scenario


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
    federated = federated_metrics(
        conduct, prepared.initial, environment(prepared.virtual.numerics),
        name=scenario.name, synthetic=scenario.data.kind == "synthetic",
        seconds_total=stopwatch.seconds["total"],
    )  # fmt: skip
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
    sites = {name: virtual.site(name, studies) for name in (*study.sites, POOLED)}
    grid = LoopbackGrid(virtual.nodes(sites))
    trials = Trials(folder, grid, initial, watch)
    evaluated: dict[str, Conduct] = {}
    cohort = list(study.sites)
    for arm in arms:  # the federated one first
        if not {*arm.study.sites} <= {*cohort, POOLED}:
            watch.note(f"{arm.name} is left out: this site took no part in the federated run")
            continue
        with stopwatch.lap(arm.name):
            evaluated[arm.name] = trials.evaluate(study, arm, trials.train(arm))
        cohort = evaluated[FEDERATED].cohort
    baselines: dict[str, SiteCounts] = {}
    own = {name: sites[name] for name in cohort}
    counts: dict[ArmName, Callable[[], SiteCounts]] = {
        "linear_probe": partial(probe_arm, own, study, initial),
        "colour_only": partial(colour_arm, own, study),
    }
    for name, count in counts.items():
        if name in scenario.arms:
            with stopwatch.lap(name):
                watch.phase(name.replace("_", " "), 1)
                baselines[name] = count()
    seconds = {name: s for name, s in stopwatch.seconds.items() if name != "total"}
    return Outcome(evaluated, baselines, seconds)


def _tidy(checkpoints: Path) -> None:
    """Keep of a finished run the federated arm's checkpoint alone."""
    for folder in checkpoints.iterdir():
        if folder.name != FEDERATED:
            shutil.rmtree(folder)
