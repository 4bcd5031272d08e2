"""Generated blood smears: four classes of cells, seen through differing stains and scanners.

The classes carry the names of the four-class label set but are drawn by rule, not from nature.
They differ in what a morphologist looks at (size of the nucleus, share of the cell it fills,
grain of its chromatin, nucleoli, clefts) and agree, on average, in the area and the tone of what
is stained, so that a classifier of colours learns little. Figures measured on these images say
that the software works and nothing about leukaemia.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.synthetic_cells import (
    Cell,
    chromatin,
    draw_cell,
    draw_platelet,
    draw_red_cell,
    draw_smudge,
    scatter,
)
from common.seeds import stream

CLASSES = ("Benign", "Early", "Pre", "Pro")
_FIELD = 128.0  # lengths below are given in pixels of a field drawn 128 pixels wide
_NUCLEAR_AREA = (1700.0, 3200.0)  # of all nuclei in a field together, whatever the class
_PALE_AREA = 1500.0  # cytoplasm and smudges together, on average
_STAINS = np.array(  # optical density of red, green, blue: nucleus, cytoplasm, red cell
    [[0.72, 1.10, 0.42], [0.36, 0.28, 0.08], [0.10, 0.34, 0.26]]
)


@dataclass(frozen=True)
class Traits:
    """What the nucleated cells of one patient look like.

    Args:
        nucleus: mean radius of the nucleus, in pixels of a 128-pixel field.
        share: area of the nucleus over that of the cell, in (0, 1).
        clump: grain of the chromatin, see `synthetic_cells.chromatin`, in the same pixels.
        nucleoli: mean number per nucleus.
        cleft: mean depth of the notch in the nucleus, as a share of its radius.
    """

    nucleus: float
    share: float
    clump: float
    nucleoli: float
    cleft: float


PROFILES = (
    Traits(nucleus=11.0, share=0.62, clump=2.4, nucleoli=0.1, cleft=0.02),
    Traits(nucleus=13.2, share=0.80, clump=1.9, nucleoli=0.6, cleft=0.07),
    Traits(nucleus=14.2, share=0.66, clump=1.4, nucleoli=1.1, cleft=0.15),
    Traits(nucleus=16.2, share=0.80, clump=1.0, nucleoli=2.2, cleft=0.25),
)


@dataclass(frozen=True)
class SiteStyle:
    """How one laboratory's smears look: stain, slide, microscope and camera.

    Args:
        stains: optical density of red, green and blue per unit of dye, for nucleus, cytoplasm
            and red cell: three rows of three.
        light: red, green and blue of the empty slide, in [0, 1].
        vignette: share of the light lost in the corners.
        scale: magnification relative to the usual one.
        blur: standard deviation of the point spread, in pixels of a 128-pixel field.
        noise: standard deviation of the camera's noise, in grey levels.
        jpeg: quality of the camera's compression, 1 to 100.
        red_cells: how many in a field, on average.
    """

    stains: tuple[tuple[float, float, float], ...]
    light: tuple[float, float, float]
    vignette: float
    scale: float
    blur: float
    noise: float
    jpeg: int
    red_cells: float


@dataclass(frozen=True)
class Patient:
    """One patient: the cells, and how strongly this smear took the stain.

    Args:
        traits: of the nucleated cells.
        stain: factor on the dye of nucleus, cytoplasm and red cell.
        contrast: factor on the depth of the chromatin's pattern.
        red_cells: factor on the number of red cells.
    """

    traits: Traits
    stain: tuple[float, float, float]
    contrast: float
    red_cells: float


def site_style(generator: np.random.Generator) -> SiteStyle:
    """Draw how a laboratory's smears look."""
    stains = _STAINS * generator.lognormal(0, 0.10, (3, 1)) * generator.lognormal(0, 0.10, (3, 3))
    light = 0.93 + generator.uniform(-0.06, 0.06, size=3)
    return SiteStyle(
        stains=tuple((float(r), float(g), float(b)) for r, g, b in stains),
        light=(float(light[0]), float(light[1]), float(light[2])),
        vignette=float(generator.uniform(0.0, 0.18)),
        scale=float(generator.uniform(0.90, 1.10)),
        blur=float(generator.uniform(0.35, 0.85)),
        noise=float(generator.uniform(1.0, 4.0)),
        jpeg=int(generator.integers(70, 98)),
        red_cells=float(generator.uniform(10, 20)),
    )


def draw_patient(generator: np.random.Generator, traits: Traits) -> Patient:
    """Draw a patient whose cells lie around `traits`."""
    own = replace(
        traits,
        nucleus=traits.nucleus * generator.lognormal(0, 0.06),
        share=float(np.clip(traits.share + generator.normal(0, 0.035), 0.45, 0.93)),
        clump=traits.clump * generator.lognormal(0, 0.14),
        nucleoli=traits.nucleoli * generator.lognormal(0, 0.25),
        cleft=traits.cleft * generator.lognormal(0, 0.25),
    )
    nucleus, cytoplasm, red_cell = generator.lognormal(0, 0.14, size=3)
    return Patient(
        own,
        stain=(float(nucleus), float(cytoplasm), float(red_cell)),
        contrast=float(generator.lognormal(0, 0.2)),
        red_cells=float(generator.lognormal(0, 0.3)),
    )


def smear_field(
    generator: np.random.Generator, patient: Patient, style: SiteStyle, size: int
) -> NDArray[np.uint8]:
    """Draw one field of a patient's smear: uint8 (size, size, 3), RGB.

    The field of view does not depend on `size`, only its sampling does.
    """
    unit = size / _FIELD * style.scale
    maps = np.zeros((3, size, size), np.float32)
    _draw_surroundings(maps, generator, style.red_cells * patient.red_cells, unit)
    _draw_cells(maps, generator, patient, unit)
    maps *= np.array(patient.stain, np.float32)[:, None, None]
    return _photograph(maps, generator, style)


def calibration_smears(seed: int, count: int, size: int) -> list[NDArray[np.uint8]]:
    """Draw smears of random cells, stains and scanners, of no class; uint8 (size, size, 3)."""
    images = []
    for number in range(count):
        generator = stream(seed, "synthetic", "calibration", number)
        patient = draw_patient(generator, random_traits(generator))
        images.append(smear_field(generator, patient, site_style(generator), size))
    return images


def random_traits(generator: np.random.Generator) -> Traits:
    """Draw traits evenly and independently from a range that holds those of every class."""
    return Traits(
        nucleus=float(np.exp(generator.uniform(np.log(9.5), np.log(18.0)))),
        share=float(generator.uniform(0.52, 0.90)),
        clump=float(np.exp(generator.uniform(np.log(0.8), np.log(3.0)))),
        nucleoli=float(generator.uniform(0.0, 2.8)),
        cleft=float(generator.uniform(0.0, 0.35)),
    )


def _draw_surroundings(
    maps: NDArray[np.float32], generator: np.random.Generator, red_cells: float, unit: float
) -> None:
    size = maps.shape[1]
    radii = generator.normal(9.5 * unit, 0.5 * unit, size=generator.poisson(red_cells)).tolist()
    for radius, (row, column) in zip(radii, scatter(generator, size, radii, 0.2), strict=True):
        draw_red_cell(maps, generator, row, column, radius)
    for _ in range(generator.poisson(2.0)):
        row, column = generator.uniform(0, size, size=2)
        draw_platelet(maps, generator, row, column, generator.uniform(1.5, 2.6) * unit)


def _draw_cells(
    maps: NDArray[np.float32], generator: np.random.Generator, patient: Patient, unit: float
) -> None:
    """Draw as many cells as fill the nuclear area, and smudges for the cytoplasm they lack."""
    size, traits = maps.shape[1], patient.traits
    expected = generator.uniform(*_NUCLEAR_AREA) / (np.pi * traits.nucleus**2)
    count = max(1, int(expected + generator.random()))
    nuclei = traits.nucleus * generator.lognormal(0, 0.07, size=count)
    shares = np.clip(traits.share + generator.normal(0, 0.03, size=count), 0.4, 0.95)
    bodies = nuclei / np.sqrt(shares)
    missing = _PALE_AREA + generator.normal(0, 500) - np.pi * float(np.sum(bodies**2 - nuclei**2))
    smudges = []
    while missing > 150:
        radius = float(np.clip(np.sqrt(missing / np.pi), 6, generator.uniform(9, 14)))
        smudges.append(radius)
        missing -= np.pi * radius**2
    places = scatter(generator, size, [*(bodies * unit), *(r * unit for r in smudges)], 0.05)
    for radius, (row, column) in zip(smudges, places[count:], strict=True):
        draw_smudge(maps, generator, row, column, radius * unit)
    pattern = patient.contrast * chromatin(generator, size, traits.clump * unit)
    for nucleus, body, (row, column) in zip(nuclei, bodies, places[:count], strict=True):
        cell = Cell(
            row=row,
            column=column,
            nucleus=float(nucleus * unit),
            body=float(body * unit),
            nucleoli=int(generator.poisson(traits.nucleoli)),
            cleft=float(np.clip(traits.cleft * generator.lognormal(0, 0.3), 0, 0.45)),
            basophilia=float(generator.normal(1.0, 0.08)),
        )
        draw_cell(maps, generator, cell, pattern)


def _photograph(
    maps: NDArray[np.float32], generator: np.random.Generator, style: SiteStyle
) -> NDArray[np.uint8]:
    """Turn dye into light (Beer and Lambert), and light into a camera's picture."""
    size = maps.shape[1]
    density = np.tensordot(maps, np.array(style.stains, np.float32), axes=(0, 0))
    image = np.exp(-density) * np.array(style.light, np.float32)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    image *= (1 - style.vignette * (axis[:, None] ** 2 + axis**2) / 2)[..., None]
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), style.blur * size / _FIELD))
    image = 255 * image + style.noise * generator.standard_normal(image.shape, dtype=np.float32)
    picture = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    quality = [int(cv2.IMWRITE_JPEG_QUALITY), style.jpeg]
    _, packed = cv2.imencode(".jpg", picture[..., ::-1], quality)
    unpacked = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(unpacked[..., ::-1])
