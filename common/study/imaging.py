"""How a study prepares an image: the settings behind `common.imaging.pipeline`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.study.strict import Strict

Fraction = Annotated[float, Field(ge=0, le=1)]


class Crop(Strict):
    """What is cut off each edge, as a fraction of the image's height or width."""

    top: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the height cut off above."""
    bottom: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the height cut off below; a burned-in scale bar gives a camera away."""
    left: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the width cut off at the left."""
    right: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the width cut off at the right."""

    @model_validator(mode="after")
    def _leaves_something(self) -> "Crop":
        if self.top + self.bottom > 0.9 or self.left + self.right > 0.9:
            raise ValueError("crop: less than a tenth of the height or width would be left")
        return self


class Rectangle(Strict):
    """A part of the uncropped image, its edges as fractions from the top left corner."""

    top: Fraction
    """Upper edge, a fraction of the height."""
    bottom: Fraction
    """Lower edge, a fraction of the height."""
    left: Fraction
    """Left edge, a fraction of the width."""
    right: Fraction
    """Right edge, a fraction of the width."""

    @model_validator(mode="after")
    def _has_area(self) -> "Rectangle":
        if self.top >= self.bottom or self.left >= self.right:
            raise ValueError("mask: a rectangle needs top < bottom and left < right")
        return self


class Imaging(Strict):
    """From a decoded image to a model's input: crop, mask, white balance, contrast, resize."""

    size: int = Field(default=299, ge=32, le=1024)
    """Height and width of the model's input, in pixels."""
    crop: Crop = Crop()
    """What is cut off each edge."""
    mask: tuple[Rectangle, ...] = ()
    """Rectangles painted over with the image's median colour, for a scale bar or a stamp."""
    white_balance: bool = False
    """Scale each channel so that its 95th percentile, the background, becomes 245."""
    contrast: Literal["camsr", "clahe", "none"] = "camsr"
    """`camsr`: multi-scale retinex blended with CLAHE on lightness; `clahe`: CLAHE alone."""
