"""What a run needs before its first round: images, their division, machine and initial model."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from safetensors.numpy import save

from client.data.cache import ActivationCache
from client.data.manifest import read_table
from client.data.splits import PARTS
from client.site_config import Numerics
from client.training.numerics import measured, settled_numerics
from common.digests import digest_value
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
from simulations.partition import partition, write_partition
from simulations.scenario import ManifestData, Scenario
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
        path: the run's folder; gets manifest.csv, numerics.json, initial.safetensors,
            fronts.safetensors and study.yaml. What of these is there is kept.
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
        ConfigError: the folder that the scenario needs was not given, or lacks the manifest.
    """
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
        own = scenario.data.labels if isinstance(scenario.data, ManifestData) else {}
        vocabulary = Vocabulary(study.labels.classes, study.labels.words(own))
        rows = partition(manifest, scenario.partition, study.seed, study.sites, vocabulary)
        write_partition(rows, partitioned)
    _check_parts(partitioned)
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
