"""Generated images in the place of a site's own: what a rehearsal works on."""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from client.holdings import Holdings, examine
from client.pulse import Pulse, no_pulse
from client.site_config import Images, SiteConfig
from common.asks import Part
from common.digests import digest_value
from common.errors import DataError
from common.imaging.synthetic import (
    PROFILES,
    Traits,
    draw_patient,
    random_traits,
    site_style,
    smear_field,
)
from common.seeds import stream
from common.study.data import GROUP_ORDER
from common.study.schema import Study

_VERSION = 1  # of the drawing; raise it when the same study gives other pictures
_IMAGES: dict[Part, int] = {"train": 8, "validation": 4, "test": 4}  # of every class, at least
_MOST = 50  # of a class and part, where the hospital tells of large counts only
_FIELDS = 2  # images of a patient


@dataclass(frozen=True)
class _Patient:
    """One generated patient; all images of a patient lie in one part."""

    name: str
    label: int
    part: Part
    images: int


def examine_generated(config: SiteConfig, study: Study, pulse: Pulse = no_pulse) -> Holdings:
    """Return what a site holds in a rehearsal; its own manifest is not looked at.

    Args:
        config: what `rehearsal_config` returned.
        study: its classes, image size and seed.
        pulse: called before every image.

    Raises:
        DataError: the images cannot be written.
    """
    images = _generated_images(config, study, pulse)
    return examine(config.model_copy(update={"images": images}), study, pulse)


def _generated_images(config: SiteConfig, study: Study, pulse: Pulse) -> Images:
    """Return images of a study's classes, drawn once for this site.

    Of every class and part there are as many as are needed to train and to measure, and as many
    as the hospital tells of.
    """
    fewest = config.limits.fewest_examples
    key = digest_value([_VERSION, study.digest, config.name, fewest])
    folder = config.state / "images" / key[:32]
    if not folder.is_dir():
        draft = folder.with_name(f".{folder.name}.draft")
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            _write(draft, config.name, study, fewest, pulse)
            draft.rename(folder)
        except OSError as error:
            raise DataError(
                f"the images of a rehearsal cannot be written: {error.strerror or error}",
                fix="make room in the site's state folder, or correct its permissions",
                local_detail=str(draft),
            ) from error
    return Images(manifest=folder / "manifest.csv")


def _write(folder: Path, site: str, study: Study, fewest: int, pulse: Pulse) -> None:
    style = site_style(stream(study.seed, "rehearsal", site))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("path", "label", *GROUP_ORDER, "split"))
        for one in _patients(study, fewest):
            person = stream(study.seed, "rehearsal", site, one.name)
            patient = draw_patient(person, _traits(study, one.label))
            for number in range(one.images):
                pulse()
                generator = stream(study.seed, "rehearsal", site, one.name, number)
                image = smear_field(generator, patient, style, study.imaging.size)
                path = f"{one.name}-{number}.png"
                if not cv2.imwrite(str(folder / path), image[..., ::-1]):
                    raise OSError(f"{path} was not written")
                # Whatever the study groups or joins by, a patient is a group of its own.
                groups = [one.name] * len(GROUP_ORDER)
                lines.writerow((path, study.labels.classes[one.label], *groups, one.part))


def _patients(study: Study, fewest: int) -> Iterator[_Patient]:
    """Number the patients; a part that the study's split leaves empty has none."""
    shares = {"train": 1.0, "validation": study.data.split.validation,
              "test": study.data.split.test}  # fmt: skip
    number = 0
    for label in range(len(study.labels.classes)):
        for part, least in _IMAGES.items():
            wanted = max(least, min(fewest, _MOST)) if shares[part] else 0
            for first in range(0, wanted, _FIELDS):
                images = min(_FIELDS, wanted - first)
                yield _Patient(f"generated-{number:04d}", label, part, images)
                number += 1


def _traits(study: Study, label: int) -> Traits:
    """Return how a class is drawn; what it is called tells nothing of it."""
    if label < len(PROFILES):
        return PROFILES[label]
    return random_traits(stream(study.seed, "rehearsal", "class", label))
