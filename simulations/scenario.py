"""The scenario file: a study, a dataset divided among virtual sites, and the arms to compare."""

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    RootModel,
    StringConstraints,
    model_validator,
)

from common.digests import digest_file, digest_value
from common.errors import ConfigError
from common.study.schema import SiteName, Study, load_study
from common.study.strict import Strict
from common.yaml_file import load_yaml
from simulations.division import ByFile, Partition
from simulations.engines.settings import Engine, InProcess
from simulations.label_noise import LabelNoise
from simulations.shift import Shift
from simulations.synthetic import SyntheticSettings

ArmName = Literal["federated", "local_only", "pooled", "linear_probe", "colour_only"]
ARM_NAMES: tuple[ArmName, ...] = (
    "federated", "local_only", "pooled", "linear_probe", "colour_only",
)  # fmt: skip
ExportFormat = Literal["tensorboard", "mlflow", "csv", "parquet"]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=40)]
POOLED = "pooled"
"""The site of the arm that trains on all sites' images in one place."""
_FIX = "correct these keys; configs/scenarios/ holds examples"


class ManifestData(Strict):
    """A dataset on disk, in the folder that `--data` names."""

    kind: Literal["manifest"]
    """Which of the three kinds."""
    manifest: str = Field(default="manifest.csv", min_length=1)
    """Its manifest, a path inside that folder; image paths start at the folder of the manifest."""
    labels: dict[str, str | None] = Field(default_factory=dict)
    """What words in its label column stand for, as `labels` of a site file; null leaves out."""
    needs: str = Field(min_length=1)
    """What the dataset is and where to get it, for whoever has not got it."""


class ManifestsData(Strict):
    """Several datasets on disk, below the folder that `--data` names, as one.

    A column `dataset` names each image's; `partition: {by: column, column: dataset}` makes each
    dataset a site. Groups of two datasets are never the same, whatever their codes.
    """

    kind: Literal["manifests"]
    """Which of the three kinds."""
    manifests: dict[SiteName, str] = Field(min_length=2)
    """By name of the dataset, its manifest: a path inside that folder; image paths start at the
    folder of each manifest."""
    labels: dict[str, str | None] = Field(default_factory=dict)
    """What words in their label columns stand for, as `labels` of a site file; null leaves out."""
    needs: str = Field(min_length=1)
    """What the datasets are and where to get them, for whoever has not got them."""


class SyntheticData(Strict):
    """Generated smears, written once and kept in the cache folder."""

    kind: Literal["synthetic"]
    """Which of the three kinds."""
    settings: SyntheticSettings = SyntheticSettings()
    """What is generated: seed, patients of each site, images of each patient, size."""


class Scenario(Strict):
    """What `leukofed-sim run` runs."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", max_length=40)
    """A short name: lower-case letters, digits, hyphens; names the folder of a run."""
    study: str = Field(min_length=1)
    """The study file; a relative path starts at the scenario file's folder."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """What differs from the study file, in the same nesting; a phase is named by its name."""
    data: Annotated[ManifestData | ManifestsData | SyntheticData, Field(discriminator="kind")]
    """The images."""
    partition: Annotated[Partition, Field(discriminator="by")]
    """How the images are divided among the study's sites."""
    shifts: dict[SiteName, Shift] = Field(default_factory=dict)
    """By site: how its laboratory and scanner change its images, of all parts."""
    label_noise: dict[SiteName, LabelNoise] = Field(default_factory=dict)
    """By site: which of its training labels are wrong."""
    arms: tuple[ArmName, ...] = ARM_NAMES
    """Ways to come to a classifier, to be compared."""
    engine: Engine = InProcess()
    """Where the virtual sites compute. It is no part of the scenario's digest: a run may go on
    with another engine."""
    exports: tuple[ExportFormat, ...] = ()
    """Forms in which the run's records are written at its end, to `exports/` in its folder."""
    variants: dict[VariantName, dict[str, JsonValue]] = Field(default_factory=dict)
    """Variants of the study for `leukofed-sim compare`, by name: what differs from the study as
    `settings` leave it, in the same nesting. `leukofed-sim run` does not look at them."""

    @model_validator(mode="after")
    def _has_something_to_compare(self) -> "Scenario":
        if "federated" not in self.arms or len(set(self.arms)) < len(self.arms):
            raise ValueError("arms: federated must be among them, and none twice")
        if taken := sorted({*self.variants} & {*ARM_NAMES}):
            raise ValueError(f"variants: {', '.join(taken)} is an arm of every study")
        return self

    @property
    def faults(self) -> dict[str, JsonValue]:
        """What is wrong with which site's images and labels; empty if nothing is."""
        told = self.model_dump(mode="json", include={"shifts", "label_noise"})
        return {name: sites for name, sites in told.items() if sites}

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of what a run computes, with every default filled in.

        A partition's file counts by what it holds, not by its name.
        """
        told = self.model_dump(mode="json", exclude={"engine", "exports", "variants"})
        if isinstance(self.partition, ByFile):
            told["partition"]["file"] = digest_file(Path(self.partition.file))
        return digest_value(told)


def load_scenario(scenario: str | Path) -> tuple[Scenario, Study]:
    """Read and check a scenario file and the study it leads to, with its settings applied.

    Args:
        scenario: a file, or the name of one that ships with leukofed.

    Raises:
        ConfigError: as `common.yaml_file.load_yaml` says. A fault that a setting brings into
            the study is named by its line in the scenario file.
    """
    path = _find(scenario)
    found = load_yaml(path, Scenario, fix=_FIX)
    if isinstance(found.partition, ByFile):
        file = (path.parent / found.partition.file).resolve()
        if not file.is_file():
            raise ConfigError(
                f"{path}: partition.file: there is no {found.partition.file}",
                fix="write it by `leukofed-sim partition`, or correct the name; a relative one "
                "starts at the scenario file's folder",
            )
        named = found.partition.model_copy(update={"file": str(file)})
        found = found.model_copy(update={"partition": named})
    base = load_study(path.parent / found.study)
    study = _with_settings(path, base)
    _check_names(path, found, study)
    if POOLED in study.sites:
        raise ConfigError(
            f"{path}: a site is called {POOLED}, as the arm that holds all sites' images",
            fix="give this site another name in the study",
        )
    return found, study


def load_variants(scenario: str | Path, study: Study, more: Path | None = None) -> dict[str, Study]:
    """Read a scenario's variants, and those of a file of their own, as studies.

    Args:
        scenario: as for `load_scenario`.
        study: what it returned; the variants' defaults.
        more: a YAML file of further variants, `NAME: {settings}`; they come before the scenario's
            of the same name.

    Raises:
        ConfigError: as `load_scenario` says; or a variant has the name of an arm, or other
            classes than the study.
    """
    lay = BeforeValidator(partial(merged, study.model_dump(mode="json")))

    class Several(RootModel[dict[VariantName, Annotated[Study, lay]]]):
        pass

    class Settled(BaseModel):
        variants: dict[VariantName, Annotated[Study, lay]] = Field(default_factory=dict)

    found = dict(load_yaml(_find(scenario), Settled, fix=_FIX).variants)
    if more is not None:
        found |= load_yaml(more, Several, fix=_FIX).root
    for name, variant in found.items():
        if name in ARM_NAMES or variant.labels != study.labels:
            raise ConfigError(
                f"variant {name} has the name of an arm"
                if name in ARM_NAMES
                else f"variant {name} has other labels than the study: they cannot be compared",
                fix="give it another name" if name in ARM_NAMES else "leave `labels` out of it",
            )
    return found


def shipped_scenarios() -> dict[str, Path]:
    """Return the scenario files that ship with leukofed, by name."""
    folder = Path(str(files("configs"))) / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def merged(document: JsonValue, changes: JsonValue) -> JsonValue:
    """Lay changes over a document: mappings key by key, anything else as a whole.

    A mapping over a list of named mappings, such as a study's phases, changes those that its
    keys name.
    """
    if not isinstance(changes, dict):
        return changes
    if isinstance(document, dict):
        laid = {key: merged(document.get(key), value) for key, value in changes.items()}
        return {**document, **laid}
    if isinstance(document, list) and all(isinstance(entry, dict) for entry in document):
        named = {str(entry.get("name")): entry for entry in document if isinstance(entry, dict)}
        return [
            merged(named.get(name, {"name": name}), changes.get(name, {}))
            for name in (*named, *(key for key in changes if key not in named))
        ]
    return changes


def _check_names(path: Path, scenario: Scenario, study: Study) -> None:
    """See that what the scenario says of sites and classes is said of the study's."""
    sites = sorted({*scenario.shifts, *scenario.label_noise} - {*study.sites})
    classes = sorted(
        {name for noise in scenario.label_noise.values()
         for name in noise.unknown(study.labels.classes)}
    )  # fmt: skip
    faults = [f"{', '.join(sites)}: no site of the study"] * bool(sites)
    faults += [f"{', '.join(classes)}: no class of the study"] * bool(classes)
    if faults:
        raise ConfigError(
            f"{path}: under shifts or label_noise: {'; '.join(faults)}",
            fix=f"the study's sites are {', '.join(study.sites)}, its classes "
            f"{', '.join(study.labels.classes)}",
        )


def _with_settings(path: Path, base: Study) -> Study:
    """Read the file's `settings` as a study whose defaults are the base study's.

    The base is sound, so whatever is wrong with the outcome is the fault of a line under
    `settings`, and is found there.
    """
    lay = partial(merged, base.model_dump(mode="json"))

    class Settled(BaseModel):
        settings: Annotated[Study, BeforeValidator(lay)] = base

    return load_yaml(path, Settled, fix=_FIX).settings


def _find(scenario: str | Path) -> Path:
    shipped = shipped_scenarios()
    if str(scenario) in shipped:
        return shipped[str(scenario)]
    path = Path(scenario)
    if path.suffix == "" and not path.exists():
        raise ConfigError(
            f"there is no scenario {scenario}",
            fix=f"give a file, or one of: {', '.join(shipped)}",
        )
    return path
