"""Training, validation and test parts of a site's images, by group and never by image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.data.manifest import Example
from common.asks import Part
from common.errors import DataError
from common.seeds import stream
from common.study.data import Split

PARTS: tuple[Part, ...] = ("train", "validation", "test")
_NAMES: dict[str, Part] = {
    "train": "train", "validation": "validation", "val": "validation", "test": "test",
}  # fmt: skip
_DRAWS = 16  # more would fit better, and leave some groups out of the test part for good


def named_part(text: str) -> Part | None:
    """Return the part that a manifest's `split` column names; None if it names none."""
    return _NAMES.get(text.lower())


def split(
    examples: Sequence[Example], settings: Split, seed: int, site: str
) -> dict[Part, list[Example]]:
    """Give every example a part: as the manifest's `split` column says, else drawn by group.

    The result depends on the examples, seed and site, not on the order of the examples.

    Args:
        examples: of one site.
        settings: the study's shares; not used where the manifest says the parts.
        seed: the study's.
        site: its name.

    Returns:
        The examples of each part, sorted by image. Drawn parts are never empty unless their
        share is 0; stated ones may be.

    Raises:
        DataError: the `split` column is half filled, has other values, or splits a group; or the
            groups are too few to draw from.
    """
    in_order = sorted(examples, key=lambda example: example.image)
    if any(example.split for example in in_order):
        parts = _stated(in_order)
    else:
        parts = _drawn(in_order, settings, seed, site)
    return {
        name: [e for e, part in zip(in_order, parts, strict=True) if part == name] for name in PARTS
    }


def _stated(examples: Sequence[Example]) -> list[Part]:
    unfilled = [str(e.image) for e in examples if not e.split]
    others = [str(e.image) for e in examples if e.split and e.split.lower() not in _NAMES]
    if unfilled or others:
        raise DataError(
            f"the manifest's split column is empty in {len(unfilled)} and neither train, "
            f"validation nor test in {len(others)} of {len(examples)} rows",
            fix="fill it in every row, or remove the column to have the parts drawn by group",
            local_detail="\n".join([*unfilled, *others]),
        )
    parts = [_NAMES[(example.split or "").lower()] for example in examples]
    of_group: dict[str, set[Part]] = {}
    for example, part in zip(examples, parts, strict=True):
        of_group.setdefault(example.group, set()).add(part)
    straddling = sorted(group for group, found in of_group.items() if len(found) > 1)
    if straddling:
        raise DataError(
            f"{len(straddling)} of {len(of_group)} groups lie in more than one part of the "
            "manifest's split column",
            fix="give all images of a group (docs/data.md, section Groups) the same part",
            local_detail="\n".join(straddling),
        )
    return parts


def _drawn(examples: Sequence[Example], settings: Split, seed: int, site: str) -> list[Part]:
    """Draw parts for groups, stratified by each group's most frequent label.

    Of several draws the one whose counts per part and class are nearest to the shares, by Pearson's
    chi-squared, is taken; one that leaves a part empty only if all do.
    """
    names = sorted({example.group for example in examples})
    number = {name: i for i, name in enumerate(names)}
    groups = np.array([number[example.group] for example in examples], dtype=np.int64)
    labels = np.array([example.label for example in examples], dtype=np.int64)
    counts = np.zeros((len(names), int(labels.max(initial=0)) + 1))
    np.add.at(counts, (groups, labels), 1)

    shares = np.array([1 - settings.validation - settings.test, settings.validation, settings.test])
    generator = stream(seed, "split", site)
    draws = [draw_parts(counts, shares, generator) for _ in range(_DRAWS)]
    best = min(draws, key=lambda parts: misfit(counts, shares, parts))
    if misfit(counts, shares, best)[0]:
        raise DataError(
            f"{len(names)} group{' is' if len(names) == 1 else 's are'} too few to fill training, "
            "validation and test parts",
            fix="add images of more patients, or state the parts in the manifest's split column",
        )
    return [PARTS[best[group]] for group in groups]


def draw_parts(
    counts: NDArray[np.float64], shares: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a part for each group, int64 (groups,).

    The groups of a stratum are laid in random order around a circle, which the shares divide
    from a random point; a group belongs to the part that holds its middle. So no part gains or
    loses more than the largest group of each stratum.

    Args:
        counts: float64 (groups, classes), images; a group's stratum is its most frequent class.
        shares: float64 (parts,); their sum is 1.
        generator: draws.
    """
    sizes = counts.sum(axis=1)
    strata = counts.argmax(axis=1)
    parts = np.empty(len(counts), dtype=np.int64)
    for stratum in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        ends = np.cumsum(sizes[members])
        middles = (ends - sizes[members] / 2) / ends[-1]
        at = (middles + generator.random()) % 1.0
        parts[members] = np.searchsorted(np.cumsum(shares)[:-1], at, side="right")
    return parts


def misfit(
    counts: NDArray[np.float64], shares: NDArray[np.float64], parts: NDArray[np.int64]
) -> tuple[int, float]:
    """Parts left empty, and chi-squared of the counts per part and class against the shares."""
    got = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
    want = shares[:, None] * counts.sum(axis=0)
    empty = int(((shares > 0) & (got.sum(axis=1) == 0)).sum())
    matters = want > 0
    return empty, float((((got - want) ** 2)[matters] / want[matters]).sum())
