"""A public dataset's images divided among virtual sites: each gets a site and a part, by group."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.groups import join_groups
from client.data.manifest import Example, read_table
from client.data.splits import PARTS, split
from common.digests import digest_file
from common.errors import DataError
from common.labels import Vocabulary, lines_to_add
from common.seeds import stream
from common.study.data import GroupColumn, Split
from common.whole_file import write_whole
from simulations.balance import balance
from simulations.scenario import BalancedGroups, ByColumn, Partition

Row = dict[str, str]


def partition(
    manifest: Path,
    settings: Partition,
    seed: int,
    sites: Sequence[str],
    vocabulary: Vocabulary | None = None,
) -> list[Row]:
    """Give every row of a manifest a site and a part, as columns `site` and `split`.

    Rows keep their order and other columns; columns of these names are replaced, and labels by the
    classes that they stand for. The result depends on the rows, not on their order.

    Args:
        manifest: the dataset's; image paths in it start at its folder.
        settings: how to divide.
        seed: the study's.
        sites: the study's.
        vocabulary: the study's classes, and the words that stand for them; None: labels stay.

    Raises:
        DataError: the manifest cannot be read, has labels that are not in the vocabulary, or
            cannot be divided in this way.
    """
    rows = [dict(row) for _, row in read_table(manifest, {})]
    if vocabulary is not None:
        rows = _settled(rows, vocabulary)
    images = [manifest.parent / row["path"] for row in rows]
    digests = [digest_file(image) if image.is_file() else None for image in images]
    return assign(rows, settings, seed, sites, digests)


def assign(
    rows: Sequence[Row],
    settings: Partition,
    seed: int,
    sites: Sequence[str],
    digests: Sequence[str | None],
) -> list[Row]:
    """Do what `partition` says with rows in memory and the digests of their images' bytes."""
    groups = _groups(rows, settings.together, digests)
    if isinstance(settings, BalancedGroups):
        placed = _balanced(rows, groups, settings, seed, sites)
    else:
        stated = isinstance(settings, ByColumn)
        if isinstance(settings, ByColumn):
            chosen = _named(rows, settings.column, sites)
            _check_whole(groups, chosen)
        else:
            chosen = _dealt(groups, seed, sites)
        placed = _split_each(rows, groups, chosen, settings.parts, seed, stated=stated)
    return [
        {**row, "site": site, "split": part} for row, (site, part) in zip(rows, placed, strict=True)
    ]


def write_partition(rows: Sequence[Row], path: Path) -> None:
    """Write divided rows as a manifest; the file is complete or absent.

    Image paths stay as they were, so whoever reads it must say which folder they start at.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def _settled(rows: Sequence[Row], vocabulary: Vocabulary) -> list[Row]:
    """Replace every label by its class; leave out what the vocabulary leaves out."""
    unknown = Counter(row["label"] for row in rows if not vocabulary.knows(row["label"]))
    if unknown:
        raise DataError(
            f"{unknown.total()} of {len(rows)} images have a label that the study does not know: "
            + ", ".join(f"{n} x {label}" for label, n in unknown.most_common(10)),
            fix=f"say in the scenario what it stands for (data.labels), or correct the manifest; "
            f"the study's labels are {', '.join(vocabulary.classes)}",
            local_detail="\n".join(["Under `data`:", *lines_to_add(unknown, vocabulary)]),
        )
    used = [row for row in rows if vocabulary.uses(row["label"])]
    if not used:
        raise DataError(
            f"all {len(rows)} rows of the manifest are left out by the scenario's data.labels",
            fix="name a class, instead of null, for at least one of the words",
        )
    return [{**row, "label": str(vocabulary.meaning(row["label"]))} for row in used]


def _groups(
    rows: Sequence[Row], together: Sequence[GroupColumn], digests: Sequence[str | None]
) -> list[str]:
    links = [[row.get(column) or None for row in rows] for column in together]
    return join_groups([row["path"] for row in rows], *links, digests)


def _balanced(
    rows: Sequence[Row],
    groups: Sequence[str],
    settings: BalancedGroups,
    seed: int,
    sites: Sequence[str],
) -> list[tuple[str, str]]:
    names, labels = sorted(set(groups)), sorted({row["label"] for row in rows})
    number = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(labels)), dtype=np.int64)
    for row, group in zip(rows, groups, strict=True):
        counts[number[group], labels.index(row["label"])] += 1
    validation, test = settings.parts.validation, settings.parts.test
    shares = np.array([1 - validation - test, validation, test])
    cells, (lacking, _, _) = balance(counts, len(sites), shares, stream(seed, "partition"))
    if lacking:
        raise DataError(
            f"{len(names)} groups are too few: {lacking} of {len(sites) * len(labels)} pairs of "
            "site and class would have no training image",
            fix="name fewer sites, or divide by: iid, which promises no such balance",
        )
    return [(sites[site], PARTS[part]) for site, part in (cells[number[g]] for g in groups)]


def _named(rows: Sequence[Row], column: str, sites: Sequence[str]) -> list[str]:
    chosen = [row.get(column, "") for row in rows]
    others = sorted({name for name in chosen if name not in sites})
    empty = [site for site in sites if site not in chosen]
    if others or empty:
        strangers = sum(name in others for name in chosen)
        raise DataError(
            f"column {column} names none of the study's sites in {strangers} of {len(rows)} rows"
            + (f", and never {', '.join(empty)}" if empty else ""),
            fix=f"name the study's sites in it ({', '.join(sites)}), or the study's after it",
            local_detail=f"other names: {', '.join(others) or 'none'}",
        )
    return chosen


def _dealt(groups: Sequence[str], seed: int, sites: Sequence[str]) -> list[str]:
    """Lay the groups end to end in random order, and cut at equal numbers of images.

    flwr-datasets does not fit: its IidPartitioner deals rows and so divides groups; its
    GroupedNaturalIdPartitioner counts groups instead of images, and draws nothing.
    """
    names, sizes = np.unique(groups, return_counts=True)
    order = stream(seed, "partition").permutation(len(names))
    ends = np.cumsum(sizes[order])
    middles: NDArray[np.float64] = (ends - sizes[order] / 2) / len(groups)
    site = dict(zip(names[order], (middles * len(sites)).astype(int), strict=True))
    chosen = [sites[site[group]] for group in groups]
    if len(set(chosen)) < len(sites):
        raise DataError(
            f"{len(names)} groups are too few, or too unequal, for {len(sites)} sites",
            fix="name fewer sites",
        )
    return chosen


def _check_whole(groups: Sequence[str], chosen: Sequence[str]) -> None:
    places: dict[str, set[str]] = {}
    for group, site in zip(groups, chosen, strict=True):
        places.setdefault(group, set()).add(site)
    divided = [group for group, found in places.items() if len(found) > 1]
    if divided:
        raise DataError(
            f"{len(divided)} of {len(places)} groups lie at more than one site",
            fix="give a group's images one site, or name under `together` only columns whose "
            "values are unique over the dataset",
            local_detail="the groups of: " + ", ".join(sorted(divided)),
        )


def _split_each(
    rows: Sequence[Row],
    groups: Sequence[str],
    chosen: Sequence[str],
    shares: Split,
    seed: int,
    *,
    stated: bool,
) -> list[tuple[str, str]]:
    """Split every site's rows as the site itself would."""
    labels = sorted({row["label"] for row in rows})
    held: dict[str, list[Example]] = {}
    for row, group, site in zip(rows, groups, chosen, strict=True):
        part = row.get("split") if stated else None
        example = Example(Path(row["path"]), labels.index(row["label"]), group, split=part or None)
        held.setdefault(site, []).append(example)
    part_of = {
        example.image: part
        for site, examples in held.items()
        for part, members in split(examples, shares, seed, site).items()
        for example in members
    }
    return [(site, part_of[Path(row["path"])]) for row, site in zip(rows, chosen, strict=True)]
