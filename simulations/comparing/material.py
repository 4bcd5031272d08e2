"""What a comparison is made on: a dataset's images, whose site and group stay as they are."""

import csv
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.groups import join_groups
from client.data.manifest import read_table
from common.digests import digest_file, digest_value
from common.study.schema import Study
from simulations.comparing.divisions import drawn_folds
from simulations.division import ByFile
from simulations.folds import Fold, spread
from simulations.partition import write_partition
from simulations.partition_file import Row, posix
from simulations.prepare import divided
from simulations.scenario import Scenario, SyntheticData


@dataclass(frozen=True, eq=False)
class Material:
    """The images that every arm is tried on."""

    manifest: Path  # of the whole dataset
    root: Path  # folder that image paths start at
    rows: tuple[Row, ...]  # with the site of each image
    digests: tuple[str, ...]
    groups: tuple[str, ...]  # what must not be split
    classes: tuple[str, ...]

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The classes of the images, int64 (n,)."""
        return np.array([self.classes.index(row["label"]) for row in self.rows], dtype=np.int64)

    @cached_property
    def sites(self) -> NDArray[np.int64]:
        """The number of each image's site, int64 (n,)."""
        return np.unique([row["site"] for row in self.rows], return_inverse=True)[1]

    @cached_property
    def place(self) -> dict[str, int]:
        """Where an image stands, by its path in the manifest's folder."""
        return {posix(row["path"]): place for place, row in enumerate(self.rows)}

    def divided(self, folds: int, seed: int) -> tuple[Fold, ...]:
        """Draw a division into folds; see `drawn_folds`."""
        return drawn_folds(self.labels, self.groups, self.sites, folds, seed)

    def parted(self, fold: Fold) -> list[Row]:
        """Return the rows with the parts of a fold."""
        part = np.empty(len(self.rows), dtype=object)
        part[fold.train], part[fold.validation], part[fold.test] = "train", "validation", "test"
        return [{**row, "split": str(p)} for row, p in zip(self.rows, part, strict=True)]

    def at_sites_of(self, other: "Material") -> "Material":
        """Return these images where another division among sites puts them."""
        rows = tuple(other.rows[other.place[posix(row["path"])]] for row in self.rows)
        return replace(self, rows=rows)


def read_material(
    scenario: Scenario,
    study: Study,
    manifest: Path,
    root: Path,
    folder: Path,
    images: int | None = None,
) -> Material:
    """Read a dataset's images and divide them among a study's sites, once for all folds.

    The sites are the hospitals of the comparison: what each holds depends on scenario and study
    alone, and only which of it is held back changes from fold to fold.

    Args:
        scenario: says how images are divided, and what is kept together.
        study: its seed, sites and labels.
        manifest: the dataset's.
        root: folder that image paths start at.
        folder: keeps the division, which may take a while to find.
        images: keep at most so many, of every group alike; None: all.

    Raises:
        DataError: as `simulations.partition.partition` says.
    """
    own = {} if isinstance(scenario.data, SyntheticData) else scenario.data.labels
    settings = scenario.partition
    filed = [digest_file(Path(settings.file))] if isinstance(settings, ByFile) else []
    whole = [row for _, row in read_table(manifest, {})]
    bytes_of = {
        row["path"]: digest_file(path) if (path := root / row["path"]).is_file() else ""
        for row in whole
    }
    name = digest_value(
        [settings.model_dump(mode="json"), study.seed, list(study.sites), dict(own),
         study.labels.model_dump(mode="json"), digest_file(manifest), bytes_of, *filed]
    )  # fmt: skip
    kept = folder / f"sites-{name[:16]}.csv"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_partition(divided(scenario, study, root, manifest), kept)
    with kept.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    digests = [bytes_of[row["path"]] for row in rows]
    links = [[row.get(column) or None for row in rows] for column in settings.together]
    groups = join_groups(
        [posix(row["path"]) for row in rows], *links, [one or None for one in digests]
    )
    chosen = range(len(rows)) if images is None else spread(groups, images, seed=0).tolist()
    return Material(
        manifest,
        root,
        tuple(rows[i] for i in chosen),
        tuple(digests[i] for i in chosen),
        tuple(groups[i] for i in chosen),
        study.labels.classes,
    )
