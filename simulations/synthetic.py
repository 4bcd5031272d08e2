"""A dataset of generated smears on disk, with the manifest that a site's data contract asks for.

Every site has its own laboratory, its own patients and its own mix of classes; all sites hold
back the same number of patients of every class.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
from pydantic import Field, model_validator

from common.digests import digest_value
from common.errors import ConfigError
from common.imaging.synthetic import (
    CLASSES,
    PROFILES,
    draw_patient,
    site_style,
    smear_field,
)
from common.seeds import stream
from common.study.schema import SiteName
from common.study.strict import Strict

MANIFEST = "manifest.csv"
_SETTINGS = "settings.json"  # written last: a folder that holds it is whole
_COLUMNS = ("path", "label", "patient", "site", "split")
_VERSION = 1  # of the drawing; raise it when the same settings give other pictures

Progress = Callable[[int, int], None]


Patients = Annotated[int, Field(ge=0, le=10_000)]


class SiteShare(Strict):
    """One virtual site of generated smears."""

    name: SiteName
    """Lower-case letters, digits, hyphens; a site of the study."""
    train: tuple[Patients, Patients, Patients, Patients]
    """Patients to train on: Benign, Early, Pre, Pro."""


class SyntheticSettings(Strict):
    """Which smears are generated."""

    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    """Every random stream derives from it."""
    sites: tuple[SiteShare, ...] = (
        SiteShare(name="north", train=(11, 8, 1, 1)),
        SiteShare(name="south", train=(8, 1, 1, 11)),
        SiteShare(name="west", train=(1, 1, 11, 8)),
    )
    """The virtual sites, each with its own laboratory and its own mix of classes."""
    validation: Patients = 1
    """Patients of every class that each site holds for validation."""
    test: Patients = 4
    """Patients of every class that each site holds back for the test."""
    fields: int = Field(default=4, ge=1, le=1000)
    """Images of each patient."""
    size: int = Field(default=128, ge=32, le=1024)
    """Side of an image, in pixels."""

    @model_validator(mode="after")
    def _sites_differ(self) -> "SyntheticSettings":
        if not self.sites or len({share.name for share in self.sites}) < len(self.sites):
            raise ValueError("sites: name at least one, and none twice")
        return self


@dataclass(frozen=True)
class _Enrolled:
    site: str
    patient: str
    label: int
    split: str


def write_dataset(
    folder: Path, settings: SyntheticSettings, progress: Progress = lambda done, of: None
) -> Path:
    """Write images and manifest, unless the folder holds those of the same settings already.

    File and patient names tell no class. The folder is complete or absent: everything is written
    beside it first.

    Args:
        folder: must not exist, be empty, or hold a dataset written by this function; one of
            other settings is replaced.
        settings: what to generate.
        progress: called with the images done and their number.

    Returns:
        The manifest: `path` (relative to the folder), `label`, `patient`, `site`, `split`.

    Raises:
        ConfigError: the folder holds something else.
    """
    digest = digest_value({"version": _VERSION, "settings": settings.model_dump(mode="json")})
    found = folder / _SETTINGS
    if written := _digest_in(found):
        if written == digest:
            return folder / MANIFEST
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            "the folder for generated smears holds something else",
            fix="remove it, or name an empty folder or one that this command wrote",
            local_detail=str(folder),
        )
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    _write(draft, settings, progress)
    account = {"digest": digest, "version": _VERSION, "settings": settings.model_dump(mode="json")}
    text = json.dumps(account, indent=2) + "\n"
    (draft / _SETTINGS).write_text(text, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return folder / MANIFEST


def _digest_in(settings: Path) -> str:
    """Return the digest of the settings that a folder was written with; empty: it was not."""
    try:
        return str(json.loads(settings.read_bytes())["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _write(folder: Path, settings: SyntheticSettings, progress: Progress) -> None:
    enrolled = list(_enrol(settings))
    total, done = len(enrolled) * settings.fields, 0
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(_COLUMNS)
        for one in enrolled:
            site = stream(settings.seed, "synthetic", one.site)
            person = stream(settings.seed, "synthetic", one.site, one.patient)
            style, patient = site_style(site), draw_patient(person, PROFILES[one.label])
            (folder / one.site).mkdir(exist_ok=True)
            for field in range(settings.fields):
                generator = stream(settings.seed, "synthetic", one.site, one.patient, field)
                image = smear_field(generator, patient, style, settings.size)
                path = f"{one.site}/{one.patient}-{field}.png"
                if not cv2.imwrite(str(folder / path), image[..., ::-1]):
                    raise OSError(f"cannot write {folder / path}")
                lines.writerow((path, CLASSES[one.label], one.patient, one.site, one.split))
                done += 1
                progress(done, total)


def _enrol(settings: SyntheticSettings) -> Iterator[_Enrolled]:
    """Number the patients of each site in an order that tells neither class nor split."""
    for site in settings.sites:
        wanted = [
            (label, split)
            for label, train in enumerate(site.train)
            for split, patients in (
                ("train", train),
                ("validation", settings.validation),
                ("test", settings.test),
            )
            for _ in range(patients)
        ]
        order = stream(settings.seed, "synthetic", site.name, "order").permutation(len(wanted))
        for number, position in enumerate(order):
            label, split = wanted[position]
            yield _Enrolled(site.name, f"{site.name}-{number:03d}", label, split)
