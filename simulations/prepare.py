"""What a run needs before its first round: images, their division, machine and initial model."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.numpy import save

from client.data.cache import ActivationCache
from client.data.manifest import read_table
from client.data.places import ImageFolder
from client.data.splits import PARTS
from client.site_config import Numerics
from client.training.numerics import measured, present_devices, settled_numerics, threads
from common.digests import digest_file, digest_value
from common.errors import ConfigError, DataError
from common.initial_model import InitialModel, read_initial, write_initial
from common.labels import Vocabulary
from common.model.initial import check_chains, initial_model
from common.model.network import front_arrays
from common.model.weights import pin_weights
from common.study.schema import Study
from common.whole_file import write_whole
from common.yaml_file import dump_yaml
from server.progress import Watch
from simulations.engines.settings import OnRay
from simulations.joined import joined_manifest
from simulations.label_noise import with_noise
from simulations.partition import partition, write_partition
from simulations.partition_file import Row, partition_csv
from simulations.scenario import ManifestData, ManifestsData, Scenario, SyntheticData
from simulations.shifted import shifted_rows, write_shifted
from simulations.synthetic import write_dataset
from simulations.virtual_sites import VirtualSites

_SHIFTED = "shifted"  # in the cache folder: images as the sites' scanners made them


@dataclass(frozen=True)
class Places:
    """Where a simulation reads and writes."""

    data: Path | None  # folder of a public dataset
    weights: Path | None  # folder of pre-trained weights
    out: Path  # folder of all runs
    cache: Path  # activations, shared by all runs
    cache_gb: float = 60.0  # most disk that these may take, in units of 10^9 bytes
    numerics: Path | None = None  # another run's numerics.json, to repeat its bits


@dataclass(frozen=True)
class Prepared:
    """A study that is ready to be run: its initial model and its sites' images are pinned."""

    study: Study
    virtual: VirtualSites
    initial: InitialModel


def pinned(study: Study, places: Places) -> Study:
    """Return a study with the digests of its pre-trained weights.

    Raises:
        WeightsError: they cannot be read.
    """
    return study.model_copy(update={"network": pin_weights(study.network, places.weights)})


def prepare(
    scenario: Scenario,
    study: Study,
    places: Places,
    path: Path,
    manifest: Path,
    cache: ActivationCache,
    watch: Watch,
    *,
    releases: bool = True,
) -> Prepared:
    """Divide the images, settle the numerics and make the initial model, each once.

    Args:
        scenario: data and partition.
        study: pinned.
        places: where to read.
        path: the run's folder; gets partition.csv, manifest.csv, numerics.json,
            initial.safetensors, fronts.safetensors and study.yaml. What of these is there is kept.
        manifest: of the whole dataset.
        cache: of activations.
        watch: shows progress.
        releases: whether the run ends in a release, which needs fronts.safetensors.

    Raises:
        LeukofedError: the scenario, its data or its weights are unfit.
    """
    virtual = _virtual_sites(scenario, study, places, path, manifest, cache, watch)
    initial = _initial(virtual, study, path, releases=releases)
    study = study.model_copy(update={"initial_model": initial.digest})
    (path / "study.yaml").write_text(dump_yaml(study), encoding="utf-8")
    return Prepared(study, virtual, initial)


def dataset(scenario: Scenario, places: Places, watch: Watch) -> Path:
    """Return the manifest of the whole dataset; generate it if it is synthetic.

    Raises:
        ConfigError: the folder that the scenario needs was not given, or lacks a manifest.
    """
    data = scenario.data
    if isinstance(data, SyntheticData):
        return _generated(data, places, watch)
    if places.data is None:
        raise ConfigError(
            f"scenario {scenario.name} needs a dataset", fix=f"give --data DIR: {data.needs}"
        )
    named = [data.manifest] if isinstance(data, ManifestData) else [*data.manifests.values()]
    absent = [name for name in named if not (places.data / name).is_file()]
    if absent:
        raise ConfigError(
            f"there is no {' and no '.join(absent)} in the folder given by --data",
            fix=f"check the path: {data.needs}",
            local_detail=str(places.data),
        )
    if isinstance(data, ManifestData):
        return places.data / data.manifest
    return joined_manifest(data.manifests, places.data, places.cache)


def images_of(scenario: Scenario, places: Places, manifest: Path) -> Path:
    """Return the folder that the paths in a scenario's manifest start at."""
    if isinstance(scenario.data, ManifestsData) and places.data is not None:
        return places.data
    return manifest.parent


def divided(scenario: Scenario, study: Study, images: Path, manifest: Path) -> list[Row]:
    """Return the dataset's rows with site, part and the class that each label stands for.

    Raises:
        DataError: as `simulations.partition.partition` says.
    """
    own = {} if isinstance(scenario.data, SyntheticData) else scenario.data.labels
    vocabulary = Vocabulary(study.labels.classes, study.labels.words(own))
    return partition(manifest, scenario.partition, study.seed, study.sites, vocabulary, images)


def _generated(data: SyntheticData, places: Places, watch: Watch) -> Path:
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
    images = images_of(scenario, places, manifest)
    if not partitioned.is_file():
        rows = divided(scenario, study, images, manifest)
        write_whole(path / "partition.csv", partition_csv(rows))
        write_partition(faulty(rows, scenario, study, images), partitioned)
    if scenario.shifts:  # also on going on with a run: the cache may have been deleted
        rows = [dict(row) for _, row in read_table(partitioned, {})]
        write_shifted(rows, scenario.shifts, images, places.cache / _SHIFTED, watch)
        images = places.cache / _SHIFTED
    _check_parts(partitioned)
    if places.numerics is not None and not (path / "numerics.json").exists():
        write_whole(path / "numerics.json", places.numerics.read_bytes())
    engine = scenario.engine
    virtual = VirtualSites(
        path, partitioned, images, places.weights, cache, Numerics(), watch.work,
        apart=study.sites if isinstance(engine, OnRay) else (),
    )  # fmt: skip

    no_gpu = isinstance(engine, OnRay) and not engine.gpus_per_site
    devices = ("cpu",) if no_gpu else present_devices()

    def measure() -> Numerics:
        check_chains(study)  # a size too small for a backbone is told before it is timed
        most = engine.threads if isinstance(engine, OnRay) else torch.get_num_threads()
        with threads(Numerics(threads=most)):
            return measured(virtual.branches(study, places.weights), study.imaging.size, devices)

    virtual.numerics = settled_numerics("auto", path / "numerics.json", measure)
    if no_gpu and virtual.numerics.device != "cpu":
        raise ConfigError(
            f"the run computes on {virtual.numerics.device}, and its sites have no share of a GPU",
            fix="give them one with engine.gpus_per_site, or another numerics.json",
        )
    return virtual


def faulty(rows: list[Row], scenario: Scenario, study: Study, images: Path) -> list[Row]:
    """Give sites the wrong labels and the shifted images that the scenario says they have.

    Args:
        rows: with site and part.
        scenario: what is wrong at which site.
        study: its seed and classes.
        images: folder that the rows' paths start at.

    Raises:
        DataError: an image is not there.
    """
    if not (scenario.label_noise or scenario.shifts):
        return rows
    place = ImageFolder(images)
    faults = Counter(fault for row in rows if (fault := place.fault(Path(row["path"]))))
    if faults:
        raise DataError(
            f"{faults.total()} of {len(rows)} images cannot be shifted, or have their labels "
            f"changed: " + ", ".join(f"{n} x {fault}" for fault, n in sorted(faults.items())),
            fix="correct the paths in the manifest, or put the images where it says",
        )
    digests = [digest_file(images / row["path"]) for row in rows]
    if scenario.label_noise:
        classes = study.labels.classes
        rows = with_noise(rows, scenario.label_noise, classes, study.seed, digests)
    return shifted_rows(rows, scenario.shifts, digests) if scenario.shifts else rows


def _check_parts(partitioned: Path) -> None:
    """See to it before anything is trained that every arm can be fitted and measured."""
    rows = [row for _, row in read_table(partitioned, {})]
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


def _initial(virtual: VirtualSites, study: Study, path: Path, *, releases: bool) -> InitialModel:
    """Make the initial model once; a resumed run reads it again."""
    file, fronts = path / "initial.safetensors", path / "fronts.safetensors"
    if not (file.exists() and (fronts.exists() or not releases)):
        branches = virtual.branches(study, virtual.weights)
        write_initial(file, initial_model(study, branches))
        if releases:
            write_whole(fronts, save(front_arrays(branches)))
    return read_initial(file)
