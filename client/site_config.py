"""The site file: what only the hospital may decide."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from common.labels import bare
from common.signing import PublicHalf
from common.study.phases import PHASE_ORDER, BoosterMode, PhaseName
from common.study.schema import SiteName
from common.study.strict import Strict
from common.yaml_file import load_yaml

REHEARSAL = "rehearsal"
"""Below a site's state: log, outbox, cache and images of its rehearsals, and nothing of runs."""
OWN_FOLDER = "own"
"""In a site's state: what training made of its images, and stays here (`client.own`)."""
QUALITY_SHEET, SUSPECTS_SHEET = "quality.png", "suspects.png"
"""In a site's state: contact sheets, which show patients' images."""


class Images(Strict):
    """Where the images are."""

    manifest: Path
    """The manifest CSV."""
    root: Path | None = None
    """Folder that image paths in it start at; null: the manifest's own."""
    only: dict[str, str] = Field(default_factory=dict)
    """Keep only rows with these values in these columns, for example `{ward: A}`."""


class Cache(Strict):
    """Where activations are kept, so that an image passes the frozen front once."""

    folder: Path
    """A folder on a fast disk; it may be deleted at any time."""
    limit_gb: float = Field(default=20.0, gt=0)
    """Most disk the cache may take, in units of 10^9 bytes."""


class Limits(Strict):
    """What may leave this site, whatever a study asks."""

    phases: tuple[PhaseName, ...] = PHASE_ORDER
    """Phases this site takes part in."""
    booster: tuple[BoosterMode, ...] = ("histogram", "bagging", "cyclic")
    """Modes of the booster this site takes part in; `collective`, in which a process that has seen
    the site's features opens a connection of its own, only if it is named here."""
    fewest_examples: int = Field(default=5, ge=0)
    """A class with fewer examples than this is not counted to the coordinator."""
    most_rounds: int = Field(default=200, ge=1)
    """Most exchanges that this site answers in one run."""
    most_runs: int = Field(default=20, ge=1)
    """Most runs of one study that this site answers in; a new run asks everything anew."""
    largest_payload_mb: float = Field(default=200.0, gt=0)
    """Largest reply, in units of 10^6 bytes."""
    most_mb_a_day: float | None = Field(default=None, gt=0)
    """Most that is let out within 24 hours, in units of 10^6 bytes; null: no limit."""
    largest_request_mb: float = Field(default=400.0, gt=0)
    """Largest request taken in, in units of 10^6 bytes."""
    overlap: bool = False
    """Whether keyed hashes of how images look are told, where a study counts the images that
    hospitals have in common (docs/privacy.md, What equal hashes tell)."""


class Numerics(Strict):
    """How this machine computes; measured once and kept, so that bits repeat."""

    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:[0-9]+)?)$")
    """What the networks are computed and trained on: `cpu`, or `cuda` for a GPU (`cuda:1` for the
    second). Images are prepared, and trees are grown, by the processor."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of activations and products; weights stay float32."""
    channels_last: bool = False
    """Memory layout of images."""
    threads: int = Field(default=1, ge=1)
    """Threads of torch."""


QualityCheck = Literal["focus", "exposure", "stain", "field", "mark", "cast", "magnification"]
"""What an image's quality is judged by."""


class Quality(Strict):
    """What makes an image unfit; limits on what `client.quality.measures` measures."""

    action: Literal["report", "leave_out"] = "report"
    """What is done with images that are unfit: told to the hospital, or left out of every study."""
    leave_out: tuple[QualityCheck, ...] = (
        "focus", "exposure", "stain", "field", "cast", "magnification",
    )  # fmt: skip
    """The checks for which an image is left out, if any is; a burnt-in mark is better cropped."""
    most_blur: float = Field(default=0.62, gt=0, le=1)
    """focus: most blur, from 0 (sharp) to 1."""
    most_dark: float = Field(default=0.1, gt=0, le=1)
    """exposure: largest share of black pixels."""
    most_bright: float = Field(default=0.5, gt=0, le=1)
    """exposure: largest share of white pixels."""
    most_darkening: float = Field(default=15.0, gt=0)
    """exposure: most by which the background is darker than the site's median, in L*."""
    least_colour: float = Field(default=10.0, ge=0)
    """stain: least distance in a*, b* between the background and what is stained most."""
    most_hue_shift: float = Field(default=30.0, gt=0, le=180)
    """stain: most by which the hue of what is purple is off the site's median, in degrees."""
    least_nuclei: float = Field(default=0.006, ge=0, le=1)
    """field: least share of pixels that belong to nuclei."""
    longest_line: float = Field(default=0.06, gt=0)
    """mark: longest artificial straight edge, as a share of the shorter side."""
    densest_text: float = Field(default=0.1, gt=0, le=1)
    """mark: largest share of artificial edges in a window as large as a short line of text."""
    most_cast: float = Field(default=12.0, gt=0)
    """cast: largest distance of the background's colour from the site's median, in a*, b*."""
    most_magnification: float = Field(default=1.6, gt=1)
    """magnification: largest factor between the diameter of nuclei and the site's median."""
    deviations: float = Field(default=3.5, gt=0)
    """A limit against the site's median widens to so many robust deviations, where images differ
    more than the limit allows."""
    suspect_given: float = Field(default=0.2, gt=0, lt=1)
    """Labels: a label is suspect if it is predicted with no more than this probability."""
    suspect_other: float = Field(default=0.5, gt=0, lt=1)
    """Labels: and if another class is predicted with at least this probability."""


class SiteConfig(Strict):
    """One hospital's own file; `docs/site.md` is generated from these fields."""

    name: SiteName
    """The name under which the site was admitted."""
    images: Images
    """Its images."""
    labels: dict[str, str | None] = Field(default_factory=dict)
    """What this hospital's words in the label column stand for: a class of the study, or a label
    that the study collapses; null leaves their images out. For example
    `{ALL L1: Early, hematogone: Benign, unclear: null}`. Case, spaces, hyphens and underscores
    make no difference."""
    state: Path
    """Folder of the site's own records: what left, what was measured."""
    cache: Cache
    """Its cache."""
    weights: Path | None = None
    """Folder of pre-trained weights, `ARCHITECTURE.safetensors`; null: the user's own cache."""
    numerics: Numerics | Literal["auto"] = "auto"
    """`auto`: measured once on this machine, then kept in the state folder."""
    limits: Limits = Limits()
    """What may leave."""
    overlap_key_file: Path | None = None
    """File of the key of those hashes, which the sites share and the coordinator never has."""
    quality: Quality = Quality()
    """What makes an image unfit, and what becomes of it."""
    coordinator: PublicHalf | None = None
    """The coordinator's public key, 44 characters of base64: the worker takes requests and studies
    that this key signed, and no others."""

    @model_validator(mode="after")
    def _words_differ(self) -> "SiteConfig":
        if len({bare(word) for word in self.labels}) < len(self.labels):
            raise ValueError("labels: a word is given twice")
        return self


def load_site_config(path: Path) -> SiteConfig:
    """Read and check a site file; relative paths in it start at its folder.

    Raises:
        ConfigError: as `common.yaml_file.load_yaml` says.
    """
    config = load_yaml(path, SiteConfig, fix="correct these keys; see docs/site.md")
    here = path.parent
    images = {"manifest": here / config.images.manifest}
    if config.images.root is not None:
        images["root"] = here / config.images.root
    return config.model_copy(
        update={
            "images": config.images.model_copy(update=images),
            "state": here / config.state,
            "cache": config.cache.model_copy(update={"folder": here / config.cache.folder}),
            "overlap_key_file": (
                None if config.overlap_key_file is None else here / config.overlap_key_file
            ),
            "weights": None if config.weights is None else here / config.weights,
        }
    )


def rehearsal_config(config: SiteConfig) -> SiteConfig:
    """Return a site file whose records lie apart, and which names no image of the site's own."""
    state = config.state / REHEARSAL
    return config.model_copy(
        update={
            "images": Images(manifest=state / "images" / "none"),
            "labels": {},
            "state": state,
            "cache": Cache(folder=state / "cache", limit_gb=config.cache.limit_gb),
        }
    )
