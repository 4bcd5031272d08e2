"""What metrics.json tells of the virtual sites of a simulation: who got what, and how it looks."""

from typing import Annotated

from pydantic import Field, JsonValue

from common.asks import Count
from common.study.strict import Strict

Level = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Axis = Annotated[float, Field(ge=-150, le=150, allow_inf_nan=False)]


class Colour(Strict):
    """The mean colour of some images."""

    images: Count
    """How many were looked at."""
    rgb: tuple[Level, Level, Level]
    """Mean level of red, green and blue."""
    lab: tuple[Axis, Axis, Axis]
    """Mean L*, a*, b* of CIE Lab (D65)."""


class PartitionTold(Strict):
    """How a simulation's images were divided among virtual sites, and what was done to them."""

    by: str
    """The way, as the scenario names it."""
    sha256: str
    """SHA-256 of the partition file: path, label, site and split of every image."""
    flipped: dict[str, Count] = Field(default_factory=dict)
    """By site with label noise: training images whose label was replaced."""
    shifts: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """By site whose images were shifted: what was done, settings that do nothing left out."""
    colours: dict[str, dict[str, Colour]] = Field(default_factory=dict)
    """By site and class: the colour of the site's images before any preparation."""
