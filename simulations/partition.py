"""A public dataset's images divided among virtual sites: each gets a site and a part, by group."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.data.groups import join_groups
from client.data.manifest import Example, read_table
from client.data.parallel import ROOM, in_order
from client.data.splits import PARTS, split
from common.digests import digest_file
from common.errors import DataError
from common.imaging.colour import colour_statistics
from common.imaging.decode import decode
from common.labels import Vocabulary, lines_to_add
from common.seeds import stream
from common.study.data import GroupColumn, Split
from common.whole_file import write_whole
from simulations.balance import balance
from simulations.dealing import Floats, laid_out
from simulations.division import BalancedGroups, ByColumn, ByFile, ByStain, Iid, Partition
from simulations.partition_file import Row, read_partition, table_csv
from simulations.uneven import uneven


def partition(
    manifest: Path,
    settings: Partition,
    seed: int,
    sites: Sequence[str],
    vocabulary: Vocabulary | None = None,
    root: Path | None = None,
) -> list[Row]:
    """Give every row of a manifest a site and a part, as columns `site` and `split`.

    Rows keep their order and other columns; columns of these names are replaced, and labels by the
    classes that they stand for. The result depends on the rows, not on their order.

    Args:
        manifest: the dataset's.
        settings: how to divide.
        seed: the study's.
        sites: the study's.
        vocabulary: the study's classes, and the words that stand for them; None: labels stay.
        root: folder that image paths start at; None: the manifest's own.

    Raises:
        DataError: the manifest cannot be read, has labels that are not in the vocabulary, or
            cannot be divided in this way.
    """
    rows = [dict(row) for _, row in read_table(manifest, {})]
    if vocabulary is not None:
        rows = _settled(rows, vocabulary)
    images = [(root or manifest.parent) / row["path"] for row in rows]
    digests = [digest_file(image) if image.is_file() else None for image in images]
    colours = None
    if isinstance(settings, ByStain):
        colours = np.stack(list(in_order(_colours, images)))
    return assign(rows, settings, seed, sites, digests, colours)


def assign(
    rows: Sequence[Row],
    settings: Partition,
    seed: int,
    sites: Sequence[str],
    digests: Sequence[str | None],
    colours: Floats | None = None,
) -> list[Row]:
    """Do what `partition` says with rows in memory.

    Args:
        rows: of the manifest.
        settings: how to divide.
        seed: the study's.
        sites: the study's.
        digests: of their images' bytes; None: there is no such file.
        colours: float64 (rows, 24), statistics of their images; needed by stain alone.
    """
    groups = _groups(rows, settings.together, digests)
    if isinstance(settings, ByColumn):
        chosen = _named(rows, settings.column, sites)
        _check_whole(groups, chosen, "site")
        placed = _split_each(rows, groups, chosen, settings.parts, seed, stated=True)
    elif isinstance(settings, ByFile):
        placed = _filed(rows, groups, settings.file, sites)
    elif isinstance(settings, Iid):
        chosen = _dealt(groups, seed, sites)
        placed = _split_each(rows, groups, chosen, settings.parts, seed, stated=False)
    else:
        names, counts = _counted(rows, groups)
        if isinstance(settings, BalancedGroups):
            cells = _balanced(counts, settings, seed, sites)
        else:
            means = None if colours is None else _means(colours, names, groups)
            cells = uneven(counts, settings, seed, sites, means)
        cell = {name: (sites[s], PARTS[p]) for name, (s, p) in zip(names, cells, strict=True)}
        placed = [cell[group] for group in groups]
    return [
        {**row, "site": site, "split": part} for row, (site, part) in zip(rows, placed, strict=True)
    ]


def write_partition(rows: Sequence[Row], path: Path) -> None:
    """Write divided rows as a manifest; the file is complete or absent.

    Image paths stay as they were, so whoever reads it must say which folder they start at.
    """
    write_whole(path, table_csv(list(rows[0]), rows))


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


def _colours(image: Path) -> Floats:
    try:
        data = image.read_bytes()
        with ROOM.for_image(data):
            return colour_statistics(decode(data))
    except OSError as error:
        raise DataError(
            f"an image cannot be read from disk ({type(error).__name__})",
            fix="put it back, or remove it from the manifest",
            local_detail=str(image),
        ) from error


def _counted(rows: Sequence[Row], groups: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the groups' names in order, and the images of each class, int64 (groups, classes)."""
    names, labels = sorted(set(groups)), sorted({row["label"] for row in rows})
    number = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(labels)), dtype=np.int64)
    for row, group in zip(rows, groups, strict=True):
        counts[number[group], labels.index(row["label"])] += 1
    return names, counts


def _means(colours: Floats, names: Sequence[str], groups: Sequence[str]) -> Floats:
    """Return the mean statistics of each group, whatever the order of its images."""
    found = np.asarray(groups)
    return np.stack([np.sort(colours[found == name], axis=0).mean(axis=0) for name in names])


def _balanced(
    counts: NDArray[np.int64], settings: BalancedGroups, seed: int, sites: Sequence[str]
) -> NDArray[np.int64]:
    validation, test = settings.parts.validation, settings.parts.test
    shares = np.array([1 - validation - test, validation, test])
    cells, (lacking, _, _) = balance(counts, len(sites), shares, stream(seed, "partition"))
    if lacking:
        raise DataError(
            f"{len(counts)} groups are too few: {lacking} of {len(sites) * counts.shape[1]} pairs "
            "of site and class would have no training image",
            fix="name fewer sites, or divide by: iid, which promises no such balance",
        )
    return cells


def _filed(
    rows: Sequence[Row], groups: Sequence[str], file: str, sites: Sequence[str]
) -> list[tuple[str, str]]:
    filed = read_partition(Path(file), sites)
    paths = {row["path"] for row in rows}
    lacking, beyond = len(paths - filed.keys()), len(filed.keys() - paths)
    if lacking or beyond:
        raise DataError(
            f"the partition is of another dataset: it lacks {lacking} of {len(paths)} images, and "
            f"lists {beyond} that are not there",
            fix="give the dataset, and the labels, that it was made of, or make a new one",
            local_detail=file,
        )
    placed = [filed[row["path"]] for row in rows]
    _check_whole(groups, [" ".join(cell) for cell in placed], "site or part")
    return placed


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
    """Lay the groups end to end in random order, and cut at equal numbers of images."""
    names, sizes = np.unique(groups, return_counts=True)
    order = stream(seed, "partition").permutation(len(names))
    pieces = laid_out(order, sizes, len(sites))
    site = dict(zip(names, pieces, strict=True))
    chosen = [sites[site[group]] for group in groups]
    if len(set(chosen)) < len(sites):
        raise DataError(
            f"{len(names)} groups are too few, or too unequal, for {len(sites)} sites",
            fix="name fewer sites",
        )
    return chosen


def _check_whole(groups: Sequence[str], chosen: Sequence[str], what: str) -> None:
    places: dict[str, set[str]] = {}
    for group, site in zip(groups, chosen, strict=True):
        places.setdefault(group, set()).add(site)
    divided = [group for group, found in places.items() if len(found) > 1]
    if divided:
        raise DataError(
            f"{len(divided)} of {len(places)} groups lie at more than one {what}",
            fix=f"give a group's images one {what}, or name under `together` only columns whose "
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
