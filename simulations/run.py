"""A scenario from its images to its report: every arm, the metrics, the page and the release."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from safetensors.numpy import save

from client.data.cache import ActivationCache
from client.data.manifest import read_table
from client.data.splits import PARTS
from client.site_config import Numerics
from client.training.numerics import measured, settled_numerics
from common.digests import digest_file, digest_value
from common.errors import ConfigError, DataError
from common.initial_model import InitialModel, read_fronts, read_initial, write_initial
from common.model.initial import check_chains, initial_model
from common.model.network import front_arrays
from common.model.weights import pin_weights
from common.study.schema import Study
from common.whole_file import write_whole
from common.yaml_file import dump_yaml
from server.conduct import Conduct
from server.course import FEDERATED, finish
from server.outcome import federated_metrics
from server.progress import Watch
from server.run_folder import RunFolder, open_run
from server.stopwatch import Stopwatch
from simulations.arms import Trials, model_arms
from simulations.baseline_arms import SiteCounts, colour_arm, probe_arm
from simulations.engines.inprocess import LoopbackGrid
from simulations.outcome import Outcome, environment, with_other_arms
from simulations.partition import partition, write_partition
from simulations.scenario import POOLED, ArmName, ManifestData, Scenario
from simulations.synthetic import write_dataset
from simulations.virtual_sites import VirtualSites


@dataclass(frozen=True)
class Places:
    """Where a simulation reads and writes."""

    data: Path | None  # folder of a public dataset
    weights: Path | None  # folder of pre-trained weights
    out: Path  # folder of all runs
    cache: Path  # activations, shared by all runs
    cache_gb: float = 60.0  # most disk that these may take, in units of 10^9 bytes
    numerics: Path | None = None  # another run's numerics.json, to repeat its bits


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
    cache = ActivationCache(places.cache, int(places.cache_gb * 1e9))
    try:
        manifest = _dataset(scenario, places, watch)
        network = pin_weights(study.network, places.weights)
        study = study.model_copy(update={"network": network})
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
        virtual = _virtual_sites(scenario, study, places, path, manifest, cache, watch)
        initial = _initial(virtual, study, path)
        study = study.model_copy(update={"initial_model": initial.digest})
        (path / "study.yaml").write_text(dump_yaml(study), encoding="utf-8")
        fronts = read_fronts(path / "fronts.safetensors", initial.fronts)
        outcome = _arms(scenario, study, virtual, initial, folder, stopwatch, watch)
    conduct = outcome.evaluated[FEDERATED]
    federated = federated_metrics(
        conduct, initial, environment(virtual.numerics),
        name=scenario.name, synthetic=scenario.data.kind == "synthetic",
        seconds_total=stopwatch.seconds["total"],
    )  # fmt: skip
    finish(folder, conduct, with_other_arms(federated, outcome), fronts, watch)


def _dataset(scenario: Scenario, places: Places, watch: Watch) -> Path:
    """Return the manifest of the whole dataset; generate it if it is synthetic."""
    data = scenario.data
    if isinstance(data, ManifestData):
        if places.data is None:
            raise ConfigError(
                f"scenario {scenario.name} needs a dataset", fix=f"give --data DIR: {data.needs}"
            )
        manifest = places.data / data.manifest
        if not manifest.is_file():
            raise ConfigError(
                f"there is no {data.manifest} in the folder given by --data",
                fix=f"check the path: {data.needs}",
                local_detail=str(manifest),
            )
        return manifest
    name = digest_value(data.model_dump(mode="json"))[:16]
    watch.phase("generating smears", 1)
    return write_dataset(
        places.cache / f"smears-{name}", data.settings, partial(watch.work, "smears")
    )


def _virtual_sites(
    scenario: Scenario,
    study: Study,
    places: Places,
    path: Path,
    manifest: Path,
    cache: ActivationCache,
    watch: Watch,
) -> VirtualSites:
    partitioned = path / "manifest.csv"
    if not partitioned.is_file():
        rows = partition(manifest, scenario.partition, study.seed, study.sites)
        write_partition(rows, partitioned)
    _check_parts(partitioned, study)
    if places.numerics is not None and not (path / "numerics.json").exists():
        write_whole(path / "numerics.json", places.numerics.read_bytes())
    virtual = VirtualSites(
        path, partitioned, manifest.parent, places.weights, cache, Numerics(), watch.work
    )

    def measure() -> Numerics:
        check_chains(study)  # a size too small for a backbone is told before it is timed
        return measured(virtual.branches(study, places.weights), study.imaging.size)

    virtual.numerics = settled_numerics("auto", path / "numerics.json", measure)
    return virtual


def _check_parts(partitioned: Path, study: Study) -> None:
    """See to it before anything is trained that every arm can be fitted and measured."""
    rows = [row for _, row in read_table(partitioned, {})]
    unknown = Counter(row["label"] for row in rows if row["label"] not in study.labels.classes)
    if unknown:
        raise DataError(
            f"{unknown.total()} of {len(rows)} images have a label that the study does not know: "
            + ", ".join(f"{n} x {label}" for label, n in unknown.most_common(10)),
            fix=f"correct the manifest; the study's labels are {', '.join(study.labels.classes)}",
        )
    labels = {part: {row["label"] for row in rows if row["split"] == part} for part in PARTS}
    if len(labels["train"]) < 2 or not (labels["validation"] and labels["test"]):
        raise DataError(
            f"there are training images of {len(labels['train'])} classes, and "
            + " and ".join(
                f"{sum(row['split'] == part for row in rows)} {part} images" for part in PARTS[1:]
            ),
            fix="correct `partition.parts` in the scenario, or the dataset's split column: "
            "two classes to train on, and images to validate and to test on, are needed",
        )


def _initial(virtual: VirtualSites, study: Study, path: Path) -> InitialModel:
    """Make the initial model once; a resumed run reads it again."""
    file, fronts = path / "initial.safetensors", path / "fronts.safetensors"
    if not (file.exists() and fronts.exists()):
        branches = virtual.branches(study, virtual.weights)
        write_initial(file, initial_model(study, branches))
        write_whole(fronts, save(front_arrays(branches)))
    return read_initial(file)


def _arms(
    scenario: Scenario,
    study: Study,
    virtual: VirtualSites,
    initial: InitialModel,
    folder: RunFolder,
    stopwatch: Stopwatch,
    watch: Watch,
) -> Outcome:
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
