"""The manifest's `field` column, from pairs of images; and what a split must not part."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.fields.finding import Pair
from client.data.groups import join_groups
from client.data.manifest import Example, Row
from client.data.splits import named_part

FIELD = "field"


@dataclass(frozen=True)
class Fields:
    """Which field each image of a manifest lies in, in its order."""

    names: tuple[str, ...]

    @property
    def sizes(self) -> Counter[str]:
        """Count the images of each field."""
        return Counter(self.names)

    @property
    def sharing(self) -> int:
        """Count the images that share their field with another one."""
        return sum(size for size in self.sizes.values() if size > 1)


def fields_of(examples: Sequence[Example], pairs: Sequence[Pair]) -> Fields:
    """Join images by pairs, and by the fields that the manifest tells already.

    A field that the manifest names keeps its name; one that joins several takes the first by
    row. New ones are called F1, F2 ... by row, passing over names that are taken.
    """
    number = {example.image: str(row).zfill(9) for row, example in enumerate(examples)}
    rows = [number[example.image] for example in examples]
    told = [example.field for example in examples]
    ends = [(number[pair.first], number[pair.second]) for pair in pairs]
    # One line per image, then one per pair: both of its images share the pair's value.
    lines = [*rows, *(row for pair in ends for row in pair)]
    known = [*told, *([None] * (2 * len(ends)))]
    shared = [None] * len(rows) + [str(i) for i in range(len(ends)) for _ in range(2)]
    joined = join_groups(lines, known, shared)[: len(rows)]
    return Fields(tuple(_named(joined, told)))


def _named(joined: Sequence[str], told: Sequence[str | None]) -> list[str]:
    names: dict[str, str] = {}
    for component, name in zip(joined, told, strict=True):
        if name is not None:
            names.setdefault(component, name)
    taken = {name for name in told if name is not None}
    free = (f"F{i}" for i in range(1, len(joined) + len(taken) + 1) if f"F{i}" not in taken)
    for component in joined:
        if component not in names:
            names[component] = next(free)
    return [names[component] for component in joined]


def manifest_text(rows: Sequence[Row], fields: Fields) -> str:
    """Write a manifest's rows as CSV, with their fields; every other column stays."""
    columns = [name for name in rows[0] if name and name != FIELD] + [FIELD]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for row, name in zip(rows, fields.names, strict=True):
        table.writerow({**row, FIELD: name})
    return text.getvalue()


def pairs_text(pairs: Sequence[Pair], root: Path) -> str:
    """Write pairs as CSV: `path_a,path_b,inliers`, paths as a manifest at `root` has them."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path_a", "path_b", "inliers"])
    for pair in pairs:
        ends = [image.relative_to(root).as_posix() for image in (pair.first, pair.second)]
        table.writerow([*ends, pair.inliers])
    return text.getvalue()


def straddling(examples: Sequence[Example]) -> Mapping[str, int]:
    """Return the groups whose images stand in several parts of the split column, with their sizes.

    A cell that names no part counts as none.
    """
    parts: dict[str, set[str]] = {}
    for example in examples:
        part = named_part(example.split or "")
        if part is not None:
            parts.setdefault(example.group, set()).add(part)
    sizes = Counter(example.group for example in examples)
    return {group: sizes[group] for group in sorted(parts) if len(parts[group]) > 1}


def mixed(examples: Sequence[Example]) -> int:
    """Count the groups whose images have several labels."""
    labels: dict[str, set[int]] = {}
    for example in examples:
        labels.setdefault(example.group, set()).add(example.label)
    return sum(len(found) > 1 for found in labels.values())
