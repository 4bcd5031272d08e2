"""Arms measured on the same images and folds: what is kept of each, and how they compare."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from client.data.manifest import Example, read_manifest
from client.data.scan import scan
from common.digests import digest_value
from common.errors import CorruptFile, DataError
from common.figures import Difference, gain
from common.seeds import stream
from common.statistics.counts import EvaluationCounts, tally
from common.statistics.metrics import Interval, accuracy, f1, macro, percentiles, replicated
from common.study.data import GroupColumn
from common.whole_file import write_whole
from simulations.folds import Fold, group_folds, image_folds, spread

Predictions = NDArray[np.int64]
"""(divisions, images): the predicted class of every image, once for each division into folds."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The images that all arms share, and their divisions into folds."""

    examples: tuple[Example, ...]
    classes: tuple[str, ...]
    divisions: tuple[tuple[Fold, ...], ...]
    is_leaky: bool = False  # divided image by image

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The classes of the images, int64 (n,)."""
        return np.array([example.label for example in self.examples], dtype=np.int64)

    @cached_property
    def groups(self) -> list[str]:
        """What must not be split, n of them."""
        return [example.group for example in self.examples]

    @cached_property
    def digest(self) -> str:
        """What identifies images, groups and folds: predictions of another ground are no use."""
        tests = [[fold.test.tolist() for fold in folds] for folds in self.divisions]
        images = [[e.digest, e.label, e.group] for e in self.examples]
        return digest_value([images, list(self.classes), tests])

    def __str__(self) -> str:
        folds = "".join(f", {len(folds)} folds" for folds in self.divisions[:1])
        return (
            f"{len(self.examples)} images, {len(set(self.groups))} groups{folds}"
            f"{' image by image (leaky)' * self.is_leaky}, {len(self.divisions)} divisions"
        )

    def leaky(self) -> "Ground":
        """Return the same images, as often divided into as many folds, image by image."""
        divisions = tuple(
            tuple(image_folds(self.labels, len(folds), number))
            for number, folds in enumerate(self.divisions)
        )
        return Ground(self.examples, self.classes, divisions, is_leaky=True)


def read_ground(
    manifest: Path,
    classes: Sequence[str],
    joined_by: Sequence[GroupColumn],
    *,
    folds: int,
    divisions: int,
    images: int | None = None,
) -> Ground:
    """Read a manifest's images, and divide them by group.

    Args:
        manifest: the dataset's.
        classes: of the study.
        joined_by: columns whose shared values join groups.
        folds: of each division.
        divisions: how often the images are divided anew.
        images: keep at most so many, from every group alike; None: all.

    Raises:
        DataError: the manifest breaks the contract, or its groups are too few.
    """
    read = read_manifest(manifest, classes, joined_by=joined_by)
    examples = sorted(scan(read).examples, key=lambda example: example.image)
    if images is not None:
        chosen = spread([example.group for example in examples], images, seed=0)
        examples = [examples[i] for i in chosen]
    labels = np.array([example.label for example in examples], dtype=np.int64)
    groups = [example.group for example in examples]
    divided = tuple(
        tuple(group_folds(labels, groups, folds, number)) for number in range(divisions)
    )
    return Ground(tuple(examples), tuple(classes), divided)


def counted(ground: Ground, predicted: Predictions, replicates: int) -> EvaluationCounts:
    """Count the predictions of all divisions, with bootstrap replicates over groups.

    A replicate draws the same groups in every division and for every arm, so arms can be
    subtracted replicate by replicate; divisions add up as sites do.
    """
    sure = np.eye(len(ground.classes))
    total: EvaluationCounts | None = None
    for row in predicted:
        generator = stream(0, "bootstrap")
        counts = tally(sure[row], ground.labels, ground.groups, replicates, generator)
        total = counts if total is None else total + counts
    if total is None:
        raise DataError("no division has been predicted", fix="ask for one division at least")
    return total


@dataclass(frozen=True)
class Score:
    """What an arm reached, with 95 % intervals over groups."""

    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    gain: Difference | None  # of the macro F1 over the reference arm, paired

    @property
    def is_shown(self) -> bool:
        """Whether the gain's interval leaves 0 out."""
        if self.gain is None:
            return False
        low, high = self.gain.interval
        return low is not None and high is not None and (low > 0 or high < 0)


def score(counts: EvaluationCounts, reference: EvaluationCounts | None) -> Score:
    """Derive an arm's figures; `reference` is what its macro F1 is compared with."""
    found = replicated(counts)
    return Score(
        accuracy=float(accuracy(counts.confusion)),
        accuracy_interval=percentiles(found["accuracy"]),
        macro_f1=float(macro(f1(counts.confusion))),
        macro_f1_interval=percentiles(found["macro_f1"]),
        gain=None if reference is None else gain(counts, reference).macro_f1,
    )


class Account:
    """The arms measured so far, in a file that a rerun goes on with.

    Args:
        file: JSON; made when the first arm is added. None: in memory only.
        ground: the images and folds.
        replicates: of the bootstrap.

    Raises:
        CorruptFile: the file holds arms of other images or folds, or cannot be read.
    """

    def __init__(self, file: Path | None, ground: Ground, replicates: int = 1000) -> None:
        self._file = file
        self._ground = ground
        self._replicates = replicates
        self._arms: dict[str, dict[str, JsonValue]] = {}
        self._counts: dict[str, EvaluationCounts] = {}
        if file is not None and file.exists():
            self._read(file)

    def holds(self, name: str, settings: JsonValue) -> bool:
        """Tell whether an arm has been measured with these settings."""
        return name in self._arms and self._arms[name]["settings"] == settings

    def add(self, name: str, settings: JsonValue, predicted: Predictions, seconds: float) -> None:
        """Keep an arm; one of that name is replaced."""
        self._arms[name] = {
            "settings": settings,
            "seconds": round(seconds, 1),
            "predicted": predicted.tolist(),
        }
        self._counts.pop(name, None)
        if self._file is not None:
            document = {"ground": self._ground.digest, "arms": self._arms}
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, json.dumps(document).encode())

    def score(self, name: str, reference: str | None = None) -> Score:
        """Return the figures of an arm, beside a reference arm's if that is another one."""
        compared = reference in self._arms and reference != name
        return score(self._counted(name), self._counted(str(reference)) if compared else None)

    def seconds(self, name: str) -> float:
        """Return how long the arm took."""
        return float(str(self._arms[name]["seconds"]))

    def scores(self, reference: str | None = None) -> Mapping[str, Score]:
        """Return every arm's figures, in the order in which they were added first."""
        return {name: self.score(name, reference) for name in self._arms}

    def _counted(self, name: str) -> EvaluationCounts:
        if name not in self._counts:
            predicted = np.array(self._arms[name]["predicted"], dtype=np.int64)
            self._counts[name] = counted(self._ground, predicted, self._replicates)
        return self._counts[name]

    def _read(self, file: Path) -> None:
        try:
            document = json.loads(file.read_bytes())
            same, arms = document["ground"] == self._ground.digest, dict(document["arms"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFile(
                "the file of earlier arms cannot be read",
                fix="delete it; the arms are measured anew",
                local_detail=str(file),
            ) from error
        if not same:
            raise CorruptFile(
                "the file of earlier arms belongs to other images or folds",
                fix="name another file, or give the same images and folds",
                local_detail=str(file),
            )
        self._arms = arms


def row(name: str, found: Score) -> str:
    """Write an arm as a line of a Markdown table; bold where the gain's interval leaves 0 out."""
    difference = "" if found.gain is None else _signed(found.gain)
    return (
        f"| {name} | {found.accuracy:.3f} {_interval(found.accuracy_interval)} "
        f"| {found.macro_f1:.3f} {_interval(found.macro_f1_interval)} "
        f"| {f'**{difference}**' if found.is_shown else difference} |"
    )


def table(scores: Mapping[str, Score], reference: str) -> str:
    """Write arms as a Markdown table."""
    head = (
        f"| arm | accuracy | macro F1 | macro F1 minus {reference}'s |\n| --- | --- | --- | --- |"
    )
    return "\n".join([head, *(row(name, found) for name, found in scores.items())])


def _signed(difference: Difference) -> str:
    low, high = (float("nan") if edge is None else edge for edge in difference.interval)
    value = float("nan") if difference.value is None else difference.value
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _interval(interval: Interval) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def screening_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser of the options that every program has which screens on frozen features."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with the dataset's manifest")
    add("--weights", type=Path, help="folder of pre-trained weights")
    add("--scenario", default="taleqani-3-sites", help="whose study is the default")
    add("--folds", type=int, default=3, help="folds of each division")
    add("--divisions", type=int, default=3, help="how often the images are divided anew")
    add("--images", type=int, help="at most so many images, from every group alike")
    add("--out", type=Path, help="JSON file of what was measured; it is gone on with")
    add("--cache", type=Path, default=Path("runs/preparation"), help="folder of features")
    add("--cache-gb", type=float, default=20.0, help="most disk that it may take")
    return parser
