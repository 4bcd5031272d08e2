"""How a study groups and splits each site's images."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.study.strict import Strict

GroupColumn = Literal["patient", "slide", "stain_cluster", "field"]
GROUP_ORDER: tuple[GroupColumn, ...] = ("patient", "slide", "stain_cluster", "field")
EVERY_IMAGE = "image"
"""What a site tells instead of a column where each image is a group of its own."""

Share = Annotated[float, Field(ge=0, lt=1)]


class Split(Strict):
    """Shares of a site's images, drawn by group, where the manifest has no `split` column."""

    validation: Share = 0.15
    """Share held back for calibration and for choosing settings."""
    test: Share = 0.2
    """Share held back for evaluation alone."""

    @model_validator(mode="after")
    def _leaves_training_images(self) -> "Split":
        if self.validation + self.test >= 1:
            raise ValueError("split: validation and test leave nothing to train on")
        return self


class Data(Strict):
    """Which images belong together, and how they are split."""

    group: tuple[GroupColumn, ...] = GROUP_ORDER
    """The group is the first of these manifest columns that every row fills; a group is never
    split. None filled, or an empty list: every image is a group of its own, which leaks."""
    joined_by: tuple[GroupColumn, ...] = ("field",)
    """Columns whose shared values join groups as well: patients who share a field of view are kept
    together. Their values must be unique within a site, not counted anew per slide."""
    require: GroupColumn | None = None
    """The column that every site must group by, as `patient`; a site whose manifest does not fill
    it in every row takes no part. It must be the first of `group`. null: each site groups as it
    can, and record and report say how."""
    overlap: Literal["none", "hashed"] = "none"
    """`hashed`: sites that allow it (`limits.overlap`) tell a keyed hash of each image's look, and
    the coordinator counts equal ones between two sites (docs/privacy.md). `none`: nobody does."""
    split: Split = Split()
    """Shares of the parts."""

    @model_validator(mode="after")
    def _requires_what_groups(self) -> "Data":
        if self.require is not None and self.group[:1] != (self.require,):
            raise ValueError(
                f"data: `require: {self.require}` needs {self.require} as the first of `group`"
            )
        return self
