"""How a study prepares an image: the settings behind `common.imaging.pipeline`."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.study.strict import Strict

Fraction = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=360)]
Positive = Annotated[float, Field(gt=0, le=1000)]
Density = tuple[
    Annotated[float, Field(ge=-1, le=1)],
    Annotated[float, Field(ge=-1, le=1)],
    Annotated[float, Field(ge=-1, le=1)],
]


class Crop(Strict):
    """What is cut off each edge, as a fraction of the image's height or width, and then found."""

    top: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the height cut off above."""
    bottom: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the height cut off below; a burned-in scale bar gives a camera away."""
    left: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the width cut off at the left."""
    right: float = Field(default=0.0, ge=0, le=0.9)
    """Fraction of the width cut off at the right."""
    to: Literal["edges", "field", "nuclei"] = "edges"
    """What is looked for in what the fractions leave. `edges`: nothing. `field`: the box around
    the field that the microscope lit; what is dark outside it is painted over as a mask is.
    `nuclei`: the box around the stained nuclei, a quarter longer than they need each way; the
    magnification then differs between images."""

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


class Nuclei(Strict):
    """Which pixels of a white-balanced image are a stained nucleus: thresholds in HSV."""

    hue: tuple[Degrees, Degrees] = (244.0, 330.0)
    """First and last hue in degrees, from blue to purple; the first may exceed the last."""
    saturation: Fraction = 0.2
    """Least saturation; where Otsu's threshold of the image is higher, that one counts."""
    area: Fraction = 0.0008
    """Smallest nucleus, a share of the image's area."""


class ReinhardReference(Strict):
    """The colours that Reinhard's normalisation leads to, in CIE Lab (D65).

    The default is that of generated smears, so it is no hospital's.
    """

    mean: tuple[float, float, float] = (77.618, 8.791, -7.992)
    """Mean of lightness (0 to 100), a and b."""
    deviation: tuple[Positive, Positive, Positive] = (17.192, 9.963, 12.243)
    """Standard deviation of each."""


class MacenkoReference(Strict):
    """The two stains that Macenko's normalisation leads to.

    The default is that of generated smears, so it is no hospital's.
    """

    stains: tuple[Density, Density] = (
        (0.7452, 0.6598, 0.0966),
        (0.1563, 0.8359, 0.5262),
    )
    """Optical density of red, green and blue for one unit of each stain: two rows of length 1,
    first the one that takes less of the blue light (the nuclei's)."""
    concentrations: tuple[Positive, Positive] = (1.1366, 0.936)
    """How much of each stain there is at the 99th percentile of the pixels."""

    @model_validator(mode="after")
    def _are_two_directions(self) -> "MacenkoReference":
        if any(abs(math.hypot(*stain) - 1) > 0.01 for stain in self.stains):
            raise ValueError("macenko: a stain's three densities must have length 1")
        if abs(sum(a * b for a, b in zip(*self.stains, strict=True))) > 0.995:
            raise ValueError("macenko: the two stains are nearly the same")
        return self


class Imaging(Strict):
    """From a decoded image to a model's input: clean, crop, mask, stain, contrast, resize."""

    size: int = Field(default=299, ge=32, le=1024)
    """Height and width of the model's input, in pixels."""
    clean: Literal["none", "specks"] = "none"
    """`specks`: a pixel that no neighbour resembles (hot, dead, salt and pepper) becomes the
    median of its 3 x 3 pixels. Whole images that are outliers are left out elsewhere, by the
    hospital's own screening."""
    crop: Crop = Crop()
    """What is cut off."""
    mask: tuple[Rectangle, ...] = ()
    """Rectangles painted over with the median colour of the rest, for a scale bar or a stamp."""
    scale_bar: Literal["keep", "median", "inpaint"] = "keep"
    """What happens to a scale bar or lettering found near an edge: `median` paints the rest's
    median colour over it, `inpaint` continues what surrounds it (Telea 2004)."""
    stain: Literal["none", "white_balance", "reinhard", "macenko"] = "none"
    """`white_balance`: scale each channel so that its 95th percentile, the background, becomes
    245. `reinhard`: mean and deviation in Lab become those of the reference (Reinhard et al.
    2001). `macenko`: the image's two stains become the reference's (Macenko et al. 2009)."""
    reinhard: ReinhardReference = ReinhardReference()
    """Where `stain: reinhard` leads to."""
    macenko: MacenkoReference = MacenkoReference()
    """Where `stain: macenko` leads to."""
    contrast: Literal["camsr", "clahe", "none"] = "camsr"
    """`camsr`: multi-scale retinex blended with CLAHE on lightness; `clahe`: CLAHE alone."""
    nuclei: Nuclei = Nuclei()
    """What counts as a nucleus, for `crop.to: nuclei` and for pictures; never what is trained
    on."""
