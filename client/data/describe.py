"""What a dataset holds, counted: images and groups per class and part, sizes, formats."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.data.manifest import Example, Manifest
from client.data.scan import UNREADABLE, readable, scan
from client.pulse import Pulse, no_pulse
from common.errors import DataError
from common.imaging.decode import header

Name = str | None  # of a class or a part; None: of all together


@dataclass(frozen=True)
class Cell:
    """The images of one class in one part, or of all."""

    images: int
    groups: int
    share: float  # of the part's images; of a part as a whole, of all images


@dataclass(frozen=True)
class Counts:
    """A table of classes by parts, or by sites; both end with None, the total."""

    classes: tuple[Name, ...]
    columns: tuple[Name, ...]
    cells: Mapping[tuple[Name, Name], Cell]  # by class and column


@dataclass(frozen=True)
class Files:
    """What the files are, whatever they show."""

    formats: Mapping[str, int]  # by format and kind of pixel, for example `JPEG RGB`
    sizes: Mapping[tuple[int, int], int]  # width and height, the commonest first


def usable(
    manifest: Manifest, digested: Pulse = no_pulse, decoded: Pulse = no_pulse
) -> tuple[list[Example], dict[str, int]]:
    """Return the images that a study could use, and count the others by reason.

    Args:
        manifest: as read.
        digested: called before every image of the first pass, which finds duplicates.
        decoded: called before every image of the second.

    Raises:
        DataError: an image cannot be read from disk.
    """
    scanned = scan(manifest, pulse=digested)
    examples, unreadable = readable(scanned.examples, pulse=decoded)
    excluded = Counter(scanned.excluded)
    if unreadable:
        excluded[UNREADABLE] += len(unreadable)
    return examples, dict(excluded)


def count(
    examples: Sequence[Example],
    places: Sequence[str],
    classes: Sequence[str],
    columns: Sequence[str],
) -> Counts:
    """Count images and groups per class and column.

    A group counts once in each cell that has an image of it, so a row's groups may add up to more
    than the row has.

    Args:
        examples: of one dataset.
        places: the column of each example.
        classes: the labels' names.
        columns: in order; none, if there is the total alone.
    """
    images: Counter[tuple[Name, Name]] = Counter()
    groups: dict[tuple[Name, Name], set[str]] = {}
    for example, place in zip(examples, places, strict=True):
        for key in itertools.product((classes[example.label], None), (place, None)):
            images[key] += 1
            groups.setdefault(key, set()).add(example.group)
    rows, kept = (*classes, None), (*columns, None)
    cells = {
        (name, column): Cell(
            images[name, column],
            len(groups.get((name, column), ())),
            images[name, column] / max(1, images[None, None if name is None else column]),
        )
        for name, column in itertools.product(rows, kept)
    }
    return Counts(rows, kept, cells)


def look_at(examples: Sequence[Example]) -> Files:
    """Read the heads of images that can be decoded."""
    formats: Counter[str] = Counter()
    sizes: Counter[tuple[int, int]] = Counter()
    for example in examples:
        try:
            kind, mode, width, height = header(example.image)
        except OSError as error:
            raise DataError(
                f"an image cannot be read from disk ({type(error).__name__})",
                fix="see that nobody moves the images meanwhile, then try again",
                local_detail=str(error),
            ) from error
        formats[f"{kind} {mode}"] += 1
        sizes[width, height] += 1
    return Files(dict(formats.most_common()), dict(sizes.most_common()))
