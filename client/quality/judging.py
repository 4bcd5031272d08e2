"""What is wrong with an image: its measures against limits and against the site's other images."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.quality.measures import Measures
from client.site_config import Quality, QualityCheck

FEWEST_FOR_USUAL = 20
"""Below so many images nothing is usual, and nothing is held against a median."""
_TO_DEVIATION = 1.4826  # of a normal distribution, from its median absolute deviation
_RAYLEIGH_MEDIAN = math.sqrt(2 * math.log(2))  # median distance from a 2-D normal's centre

OUT_OF_FOCUS = "out of focus"
UNDER_EXPOSED = "under-exposed"
OVER_EXPOSED = "over-exposed"
HARDLY_STAINED = "hardly stained"
OTHER_HUE = "stain of another hue"
EMPTY_FIELD = "empty field"
MARKED = "burnt-in mark"
COLOUR_CAST = "colour cast"
OTHER_MAGNIFICATION = "other magnification"
REASONS: Mapping[str, QualityCheck] = {
    OUT_OF_FOCUS: "focus",
    UNDER_EXPOSED: "exposure",
    OVER_EXPOSED: "exposure",
    HARDLY_STAINED: "stain",
    OTHER_HUE: "stain",
    EMPTY_FIELD: "field",
    MARKED: "mark",
    COLOUR_CAST: "cast",
    OTHER_MAGNIFICATION: "magnification",
}
"""Every reason, with the check that gives it."""


@dataclass(frozen=True)
class Flag:
    """One thing that is wrong with an image.

    Args:
        reason: one of `REASONS`.
        value: what was measured, in the unit of its limit; of a reason with two
            limits, how far it is beyond the nearer one.
        excess: how far beyond the limit, as a factor; 1 is on it.
    """

    reason: str
    value: float
    excess: float


@dataclass(frozen=True)
class Usual:
    """A site's usual image: medians, and the limits around them.

    Args:
        lightness: L* of the background.
        most_darkening: in L*.
        tint: a* and b* of the background.
        most_cast: in a*, b*.
        hue: of what is purple, in degrees.
        most_hue_shift: in degrees.
        diameter: of nuclei, as a share of the shorter side.
        most_magnification: a factor.
    """

    lightness: float
    most_darkening: float
    tint: tuple[float, float]
    most_cast: float
    hue: float
    most_hue_shift: float
    diameter: float
    most_magnification: float


def usual(measured: Sequence[Measures], settings: Quality) -> Usual | None:
    """Return what is usual among images, or None where too few show it.

    Limits are the settings', or `deviations` robust deviations (1.4826 times the median absolute
    deviation; Leys et al. 2013, J. Exp. Soc. Psychol. 49) where that is wider.
    """
    hues = np.array([m.stain.hue for m in measured if m.stain.hue is not None])
    diameters = np.array([m.stain.diameter for m in measured if m.stain.diameter is not None])
    if min(len(hues), len(diameters)) < FEWEST_FOR_USUAL:
        return None
    lightness, darkening = _centre(np.array([m.light.lightness for m in measured]))
    hue, shift = _centre(hues)
    diameter, factor = _centre(np.log(diameters))
    tints = np.array([(m.light.a, m.light.b) for m in measured])
    tint = np.median(tints, axis=0)
    cast = float(np.median(np.hypot(*(tints - tint).T))) / _RAYLEIGH_MEDIAN
    z = settings.deviations
    return Usual(
        lightness=lightness,
        most_darkening=max(settings.most_darkening, z * darkening),
        tint=(float(tint[0]), float(tint[1])),
        most_cast=max(settings.most_cast, z * cast),
        hue=hue,
        most_hue_shift=max(settings.most_hue_shift, z * shift),
        diameter=math.exp(diameter),
        most_magnification=max(settings.most_magnification, math.exp(z * factor)),
    )


def judge(found: Measures, site: Usual | None, settings: Quality) -> tuple[Flag, ...]:
    """Return what is wrong with one image, the worst first.

    What follows from another fault is not told again: an image without stain shows no nuclei,
    and clipped colours say nothing of the light.
    """
    flags = list(_flags(found, site, settings))
    given = {flag.reason for flag in flags}
    if HARDLY_STAINED in given:
        given -= {EMPTY_FIELD, OTHER_HUE, OTHER_MAGNIFICATION}
    if EMPTY_FIELD in given:
        given -= {OTHER_HUE, OTHER_MAGNIFICATION}
    if OVER_EXPOSED in given:
        given -= {COLOUR_CAST, OTHER_HUE, OTHER_MAGNIFICATION}
    kept = [flag for flag in flags if flag.reason in given]
    return tuple(sorted(kept, key=lambda flag: -flag.excess))


_UNITS: Mapping[str, str] = {
    OUT_OF_FOCUS: "blur {:.2f}",
    UNDER_EXPOSED: "{:.1f} x limit",
    OVER_EXPOSED: "{:.0%} white",
    HARDLY_STAINED: "{:.0f} in a*b*",
    OTHER_HUE: "{:.0f} degrees off",
    EMPTY_FIELD: "{:.1%} nuclei",
    MARKED: "{:.1f} x limit",
    COLOUR_CAST: "{:.0f} in a*b*",
    OTHER_MAGNIFICATION: "{:.2f} x",
}


def described(flag: Flag) -> str:
    """Return what was measured, in the unit of its limit."""
    return _UNITS[flag.reason].format(flag.value)


def leads_out(flags: Sequence[Flag], settings: Quality) -> str | None:
    """Return the reason for which an image is left out; None: it stays."""
    if settings.action == "report":
        return None
    reasons = [f.reason for f in flags if REASONS[f.reason] in settings.leave_out]
    return reasons[0] if reasons else None


def _flags(found: Measures, site: Usual | None, settings: Quality) -> Iterator[Flag]:
    light, stain, marks = found.light, found.stain, found.marks
    yield from _above(OUT_OF_FOCUS, found.blur, settings.most_blur)
    dark = [light.dark / settings.most_dark]
    if site is not None:
        dark.append((site.lightness - light.lightness) / site.most_darkening)
    yield from _above(UNDER_EXPOSED, max(dark), 1.0)
    yield from _above(OVER_EXPOSED, light.bright, settings.most_bright)
    yield from _below(HARDLY_STAINED, stain.strength, settings.least_colour)
    yield from _below(EMPTY_FIELD, stain.nuclei, settings.least_nuclei)
    mark = max(marks.line / settings.longest_line, marks.text / settings.densest_text)
    yield from _above(MARKED, mark, 1.0)
    if site is None:
        return
    cast = math.hypot(light.a - site.tint[0], light.b - site.tint[1])
    yield from _above(COLOUR_CAST, cast, site.most_cast)
    if stain.hue is not None:
        yield from _above(OTHER_HUE, abs(stain.hue - site.hue), site.most_hue_shift)
    if stain.diameter is not None:
        factor = stain.diameter / site.diameter
        limit = site.most_magnification
        if max(factor, 1 / factor) > limit:
            yield Flag(OTHER_MAGNIFICATION, factor, max(factor, 1 / factor) / limit)


def _above(reason: str, value: float, limit: float) -> Iterator[Flag]:
    if value > limit:
        yield Flag(reason, value, value / limit)


def _below(reason: str, value: float, limit: float) -> Iterator[Flag]:
    if value < limit:
        yield Flag(reason, value, limit / max(value, limit / 100))


def _centre(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median and the robust deviation."""
    median = float(np.median(values))
    return median, _TO_DEVIATION * float(np.median(np.abs(values - median)))
