"""How a study varies the further views of a training image (`client.training.augment`)."""

from pydantic import Field

from common.study.strict import Strict


class Augmentation(Strict):
    """What views after the first may differ in; validation and test images are varied only where
    the evaluation phase asks for `views`.

    A smear has no upright and no handedness, and every day's stain is a little different; the
    defaults say no more than that. 0 or false switches a variation off.
    """

    quarter_turns: bool = True
    """Turn by 0, 90, 180 or 270 degrees; no pixel changes."""
    flips: bool = True
    """Mirror every other view; no pixel changes."""
    rotation: float = Field(default=0.0, ge=0, le=180)
    """Turn further, by up to so many degrees either way; the border is filled by reflection."""
    panning: float = Field(default=0.0, ge=0, le=0.5)
    """Move by up to this share of the height and of the width; filled by reflection."""
    zoom: float = Field(default=0.0, ge=0, le=1)
    """Enlarge or reduce by a factor between 1 / (1 + zoom) and 1 + zoom."""
    emboss: float = Field(default=0.0, ge=0, le=1)
    """Blend in up to this share of an embossed copy, lit from the upper left."""
    stain_gain: float = Field(default=0.08, ge=0, le=0.5)
    """Standard deviation of the factor on each channel's optical density."""
    stain_shift: float = Field(default=0.02, ge=0, le=0.5)
    """Standard deviation of what is added to each channel's optical density."""
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """Draws the views; null: the study's seed. Studies of different seeds that share this one share
    their views, which are then computed once."""
