"""The study: one federated experiment, agreed once, known by its digest."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints, model_validator

from common.digests import digest_value
from common.labels import bare, words_for
from common.study.augmentation import Augmentation
from common.study.compression import Compression
from common.study.data import Data
from common.study.imaging import Imaging
from common.study.network import Network
from common.study.phases import (
    PHASE_ORDER,
    BackbonesPhase,
    BoosterPhase,
    CalibrationPhase,
    CensusPhase,
    EvaluationPhase,
    FusionPhase,
    Phase,
    ReleasePhase,
    Training,
)
from common.study.strict import Strict
from common.yaml_file import load_yaml

PROTOCOL = 2  # what requests and replies mean; sites and coordinator must agree on it
SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Kind = TypeVar("Kind")


class LabelSet(Strict):
    """The classes of a study, in the order of its label numbers."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    """A name for the set, for example `all-subtypes`."""
    classes: tuple[ClassName, ...] = Field(min_length=2, max_length=64)
    """The classes; a manifest's labels must be among them, or among `collapse`. Case, spaces,
    hyphens and underscores make no difference."""
    collapse: dict[str, ClassName] = Field(default_factory=dict)
    """Labels that stand for a class, so that manifests with finer labels serve this study: for
    example `{Benign: normal, Early: ALL, Pre: ALL, Pro: ALL}` with the classes normal and ALL."""

    @model_validator(mode="after")
    def _words_differ(self) -> "LabelSet":
        named = {bare(name): name for name in self.classes}
        if len(named) < len(self.classes):
            raise ValueError("a class is named twice")
        if len({bare(word) for word in self.collapse}) < len(self.collapse):
            raise ValueError("collapse: a label is named twice")
        for word, target in self.collapse.items():
            if target not in self.classes:
                raise ValueError(f"collapse: {target} is none of the classes")
            if named.get(bare(word), target) != target:
                raise ValueError(f"collapse: {word} is a class itself, and stands for no other")
        return self

    def words(self, own: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return what words beside the classes stand for: a class, or None to leave them out.

        Args:
            own: a hospital's own words, which come before `collapse`.
        """
        return words_for(self.classes, self.collapse, own)

    def told(self) -> Iterator[str]:
        """Yield the classes, each with the labels that stand for it."""
        for name in self.classes:
            finer = [word for word, target in self.collapse.items() if target == name != word]
            yield f"{name} ({', '.join(finer)})" if finer else name


class Study(Strict):
    """One federated experiment; `docs/study.md` is generated from these fields."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", max_length=60)
    """A short name: lower-case letters, digits, hyphens."""
    protocol: int = Field(default=PROTOCOL, ge=PROTOCOL, le=PROTOCOL)
    """Version of the exchange between coordinator and sites."""
    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    """Every random stream derives from it."""
    sites: tuple[SiteName, ...] = Field(min_length=1)
    """Names of the sites invited to every round."""
    quorum: int = Field(ge=1)
    """Fewest sites whose replies make a round count."""
    labels: LabelSet
    """The classes."""
    data: Data = Data()
    """How a site groups and splits its images."""
    imaging: Imaging = Imaging()
    """How an image becomes a model's input."""
    augmentation: Augmentation = Augmentation()
    """How the further views of a training image vary; `views` of the backbones counts them."""
    network: Network = Network()
    """The model."""
    compression: Compression = Compression()
    """How much smaller the updates of backbones and fusion travel."""
    initial_model: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 over the arrays of the initial model; `leukofed-sim init-model` fills it in."""
    phases: tuple[Phase, ...] = (
        CensusPhase(),
        BackbonesPhase(),
        FusionPhase(),
        BoosterPhase(),
        CalibrationPhase(),
        EvaluationPhase(),
        ReleasePhase(),
    )
    """What is done, in order."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "Study":
        if len(set(self.sites)) < len(self.sites):
            raise ValueError("sites: a site is named twice")
        if self.quorum > len(self.sites):
            raise ValueError(f"quorum {self.quorum} exceeds the {len(self.sites)} sites listed")
        names = tuple(phase.name for phase in self.phases)
        if names != PHASE_ORDER:
            raise ValueError(f"phases must be, in this order: {', '.join(PHASE_ORDER)}")
        for phase in self.phases:
            if isinstance(phase, Training):
                self._check_participants(phase)
        if self.is_personal and self.phase(BoosterPhase).mode != "none":
            raise ValueError(
                "with batch_norm: local or head: local a part of the model differs from site to "
                "site, so no booster can be shared: set the booster's mode to none"
            )
        if self.is_personal and self.compression.down != "none":
            raise ValueError(
                "compression: steps down are coded for parts of the model that all sites share; "
                "with batch_norm: local or head: local leave down at none"
            )
        return self

    def _check_participants(self, phase: Training) -> None:
        drawn = phase.participants
        if drawn is not None and not self.quorum <= drawn <= len(self.sites):
            raise ValueError(
                f"{phase.name}: participants must be {self.quorum}, the quorum, to "
                f"{len(self.sites)}, all sites"
            )

    @property
    def is_personal(self) -> bool:
        """Whether sites keep parts of the model of their own, which never leave them."""
        return self.network.batch_norm == "local" or self.phase(FusionPhase).head == "local"

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the study with every default filled in."""
        return digest_value(self.model_dump(mode="json"))

    @property
    def view_seed(self) -> int:
        """The seed that draws the views of training images."""
        return self.seed if self.augmentation.seed is None else self.augmentation.seed

    def phase(self, kind: type[Kind]) -> Kind:
        """Return the settings of one phase."""
        return next(phase for phase in self.phases if isinstance(phase, kind))


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        ConfigError: as `common.yaml_file.load_yaml` says.
    """
    return load_yaml(
        path,
        Study,
        fix="correct these keys; `leukofed-server study --schema` tells what each one allows",
    )
