"""The settings of each way to divide a dataset among virtual sites."""

from typing import Literal

from pydantic import Field

from common.study.data import GROUP_ORDER, GroupColumn, Split
from common.study.strict import Strict


class Dividing(Strict):
    """What every way of dividing a dataset among sites needs."""

    parts: Split = Split()
    """Shares of the validation and test parts, neither of them 0; the rest trains."""
    together: tuple[GroupColumn, ...] = GROUP_ORDER
    """Images that share a value in any of these columns, or their bytes, are one group, and no
    group is divided. Values must be unique over the dataset, not counted anew per slide."""


class ByColumn(Dividing):
    """A column of the manifest names each image's site; a `split` column, if there, its part."""

    by: Literal["column"]
    """Which of the ways."""
    column: str = "site"
    """The column; `dataset` where the scenario names several manifests."""


class Iid(Dividing):
    """Whole groups, dealt at random: every site draws from the same population."""

    by: Literal["iid"]
    """Which of the ways."""


class BalancedGroups(Dividing):
    """Whole groups, dealt so that each class comes near its share in each site and part.

    Each site has training images of every class. A class with fewer groups than three times the
    sites cannot be in every part of every site: then a site's test or validation part lacks it.
    """

    by: Literal["balanced-groups"]
    """Which of the ways."""


class Dirichlet(Dividing):
    """Whole groups, dealt so that each class lies unevenly at the sites.

    Of each class the sites' shares are drawn from a symmetric Dirichlet distribution (Yurochkin et
    al. 2019, section 4). A site trains every class that it holds, and has images of each part.
    """

    by: Literal["dirichlet"]
    """Which of the ways."""
    alpha: float = Field(gt=0, le=10_000)
    """Concentration: 100 is nearly even, 0.1 gives most of a class to one site."""


class Shards(Dividing):
    """Whole groups in the order of their classes, cut into shards; each site gets a few.

    So each site holds few classes (McMahan et al. 2017, section 3). It trains every class that it
    holds, and has images of each part.
    """

    by: Literal["shards"]
    """Which of the ways."""
    each: int = Field(default=2, ge=1, le=100)
    """Shards that each site gets; a shard lies within one class, or across where two meet."""


class SizeSkew(Dividing):
    """Whole groups, dealt so that sites differ in size and not in their mix of classes.

    Sizes are in proportion to draws from a lognormal distribution. A site trains every class that
    it holds, and has images of each part.
    """

    by: Literal["size-skew"]
    """Which of the ways."""
    sigma: float = Field(default=1.0, gt=0, le=4)
    """Standard deviation of the sizes' logarithms."""


class ByStain(Dividing):
    """Whole groups, gathered by their colours: each site has a stain, or a camera, of its own.

    Groups are clustered by k-means on their mean colour statistics, as `colour_only` sees them,
    before anything else is done to the images. The study's first site gets the darkest.
    """

    by: Literal["stain"]
    """Which of the ways."""


class ByFile(Dividing):
    """As a file says that `leukofed-sim partition`, or a run, has written."""

    by: Literal["file"]
    """Which of the ways."""
    file: str = Field(min_length=1)
    """The file, with columns path, site and split; a relative path starts at the scenario file's
    folder. `parts` is not used."""


Partition = (
    ByColumn | Iid | BalancedGroups | Dirichlet | Shards | SizeSkew | ByStain | ByFile
)  # fmt: skip
