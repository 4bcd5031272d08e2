"""Wrong labels at a virtual site: among those it trains on, never among those it is tested by."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from common.seeds import stream
from common.study.strict import Strict
from simulations.partition_file import TRUE_LABEL, Row

Share = Annotated[float, Field(ge=0, le=1)]


class LabelNoise(Strict):
    """Which of a site's training labels are replaced by others; one of the two settings."""

    share: Share | None = None
    """Share of each class's training images that get another class, every other equally often."""
    table: dict[str, dict[str, Share]] = Field(default_factory=dict)
    """By true class, the share that gets each wrong class, as `{Early: {Pre: 0.2}}`."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> "LabelNoise":
        if (self.share is None) == (not self.table):
            raise ValueError("label_noise: give either share or table")
        if any(name in row for name, row in self.table.items()):
            raise ValueError("label_noise: table names wrong classes only, not the true one")
        if any(sum(row.values()) > 1 for row in self.table.values()):
            raise ValueError("label_noise: the shares of a true class add up to more than 1")
        return self

    def unknown(self, classes: Sequence[str]) -> list[str]:
        """Return the names in the table that are no classes."""
        named = {*self.table, *(wrong for row in self.table.values() for wrong in row)}
        return sorted(named - set(classes))

    def row(self, name: str, classes: Sequence[str]) -> dict[str, float]:
        """Return the share of a true class that gets each wrong class."""
        if self.share is None:
            return dict(self.table.get(name, {}))
        others = [one for one in classes if one != name]
        return {one: self.share / len(others) for one in others}


def with_noise(
    rows: Sequence[Row],
    noise: Mapping[str, LabelNoise],
    classes: Sequence[str],
    seed: int,
    copies: Sequence[str],
) -> list[Row]:
    """Replace labels of training images as the settings say; the true one stands in `true_label`.

    This is class-conditional noise (Natarajan et al. 2013, section 2): P(label j | class i) is the
    table's entry. The number that is replaced is not left to chance but rounded: of n images with
    shares summing to s, round(n s). Copies of an image get the same label, or a site would drop
    them as contradictory.

    Args:
        rows: divided.
        noise: by site.
        classes: the study's.
        seed: the study's.
        copies: of each row, what it shares with its copies alone, as its image's digest.
    """
    labels: dict[tuple[str, str], str] = {}
    held: dict[tuple[str, str], set[str]] = {}
    for row, copy in zip(rows, copies, strict=True):
        if row["split"] == "train" and row["site"] in noise:
            held.setdefault((row["site"], row["label"]), set()).add(copy)
    for (site, name), images in sorted(held.items()):
        generator = stream(seed, "label noise", site, name)
        wrong = noise[site].row(name, classes)
        order = generator.permutation(sorted(wrong)).tolist()
        ends = np.rint(np.cumsum([wrong[one] for one in order]) * len(images)).astype(int).tolist()
        drawn = generator.permutation(sorted(images)).tolist()
        for start, end, label in zip([0, *ends], ends, order, strict=False):
            labels |= {(site, image): label for image in drawn[start:end]}
    return [
        {**row, "label": labels.get((row["site"], copy), row["label"])
         if row["split"] == "train" else row["label"], TRUE_LABEL: row["label"]}
        for row, copy in zip(rows, copies, strict=True)
    ]  # fmt: skip
