"""A trial site: in a folder that is thrown away, with generated smears or a few of its own images.

Nothing of it reaches the site's own records, its cache or its log.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from client.activations import Progress, unwatched
from client.data.manifest import Row, read_table
from client.dry_run import Sent, dry_run
from client.phases import handle
from client.site import Site
from client.site_config import Cache, Images, Numerics, Quality, SiteConfig
from common.errors import DataError
from common.imaging.synthetic import PROFILES, draw_patient, site_style, smear_field
from common.labels import own_terms
from common.model.initial import build_branches, initial_model
from common.seeds import stream
from common.study.schema import Study

_SEED = 7  # of the generated smears; any would do
_SPLITS = ("train", "train", "train", "train", "validation", "test")
_CACHE_GB = 1000.0  # what is thrown away soon is not limited but by the disk


def trial_config(config: SiteConfig, folder: Path, images: Images) -> SiteConfig:
    """Return a site file like a hospital's, whose state and cache are in another folder.

    Its limits stay, so that what they forbid is seen. No image is left out for its quality:
    generated ones, and a few of the site's own, have no usual image to be held against. How the
    machine computes is taken from the site's own measurement, if there is one.
    """
    kept = config.state / "numerics.json"
    numerics = config.numerics
    if numerics == "auto" and kept.is_file():
        numerics = Numerics.model_validate_json(kept.read_bytes())
    return config.model_copy(
        update={
            "images": images,
            "labels": {},  # `own_images` has applied them; generated ones have the study's
            "state": folder / "state",
            "cache": Cache(folder=folder / "cache", limit_gb=_CACHE_GB),
            "numerics": numerics,
            "quality": Quality(),
        }
    )


def generated_images(folder: Path, study: Study, count: int) -> Images:
    """Write generated smears and their manifest; every class in every part, as far as it goes.

    Args:
        folder: is made.
        study: its classes; they are drawn as those of `common.imaging.synthetic`, in turn.
        count: how many.
    """
    folder.mkdir(parents=True)
    classes = study.labels.classes
    rows: list[Row] = []
    for number in range(count):
        label = number % len(classes)
        generator = stream(_SEED, "synthetic", "trial", number)
        patient = draw_patient(generator, PROFILES[label % len(PROFILES)])
        smear = smear_field(generator, patient, site_style(generator), study.imaging.size)
        name = f"{number:05}.png"
        _write_image(folder / name, smear)
        split = _SPLITS[number // len(classes) % len(_SPLITS)]
        rows.append({"path": name, "label": classes[label], "patient": str(number), "split": split})
    return Images(manifest=_write_manifest(folder, rows))


def own_images(config: SiteConfig, folder: Path, count: int) -> Images:
    """Write a manifest of up to so many of a site's own images, which stay where they are.

    They are taken in turn from each class, and part if the manifest names parts; of each group one
    before a second.

    Args:
        config: names manifest and images.
        folder: is made, and holds the manifest alone.
        count: how many.

    Raises:
        DataError: the manifest cannot be read.
    """
    listed = read_table(config.images.manifest, config.images.only)
    terms = [own_terms(row["label"], config.labels) for _, row in listed]
    rows = [
        {**row, "label": term}
        for (_, row), term in zip(listed, terms, strict=True)
        if term is not None
    ]
    folder.mkdir(parents=True)
    manifest = _write_manifest(folder, _spread(rows)[:count])
    return Images(manifest=manifest, root=config.images.root or config.images.manifest.parent)


def _spread(rows: Sequence[Row]) -> list[Row]:
    """Order rows so that the first ones are of every class and part, and of many groups."""
    seen: Counter[tuple[str, ...]] = Counter()
    turns: dict[tuple[str, str], list[tuple[int, int, Row]]] = defaultdict(list)
    for number, row in enumerate(rows):
        bucket = row["label"], row.get("split", "")
        group = next((row[c] for c in ("patient", "slide", "stain_cluster", "field") if row.get(c)),
                     row["path"])  # fmt: skip
        seen[(*bucket, group)] += 1
        turns[bucket].append((seen[(*bucket, group)], number, row))
    in_turn = [[row for _, _, row in sorted(turn, key=lambda t: t[:2])] for turn in turns.values()]
    return [row for row in chain.from_iterable(zip_longest(*in_turn)) if row is not None]


def _write_manifest(folder: Path, rows: Iterable[Row]) -> Path:
    path = folder / "manifest.csv"
    listed = list(rows)
    columns = list(listed[0]) if listed else ["path", "label"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(listed)
    return path


def _write_image(path: Path, image: NDArray[Any]) -> None:
    if not cv2.imwrite(str(path), image[..., ::-1]):
        raise DataError(
            "a generated image cannot be written",
            fix="make room in the folder for temporary files, or name another one with TMPDIR",
            local_detail=str(path),
        )


def what_leaves(
    study: Study, config: SiteConfig, images: Images, folder: Path, progress: Progress = unwatched
) -> Iterator[Sent]:
    """Work through a study at a trial site; yield what each reply would let out.

    Args:
        study: need not be approved.
        config: of the hospital; its limits and weights count.
        images: what is worked on.
        folder: takes state and cache, and is thrown away by the caller.
        progress: watches the pass through the frozen fronts.

    Raises:
        WeightsError: the study's weights are not on this machine.
        ConfigError: the study's network cannot be built.
    """
    branches = build_branches(study, config.weights)
    initial = initial_model(study, branches).parts
    own = trial_config(config, folder, images)
    site = Site(own, {study.digest: study}, build=lambda *_: branches, progress=progress)
    try:
        yield from dry_run(study, config.name, initial, partial(handle, site=site))
    finally:
        site.close()
