"""How a survey looks on a screen and as JSON; both stay at the site."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from client.quality.judging import (
    COLOUR_CAST,
    EMPTY_FIELD,
    FEWEST_FOR_USUAL,
    HARDLY_STAINED,
    MARKED,
    OTHER_HUE,
    OTHER_MAGNIFICATION,
    OUT_OF_FOCUS,
    OVER_EXPOSED,
    REASONS,
    UNDER_EXPOSED,
    Usual,
)
from client.quality.sheet import within
from client.quality.survey import Survey
from client.site_config import Quality


def limits(settings: Quality, site: Usual | None) -> Mapping[str, str]:
    """Say for every reason from where on an image is flagged, here."""
    relative = f"not judged below {FEWEST_FOR_USUAL} images"
    return {
        OUT_OF_FOCUS: f"blur above {settings.most_blur:g}",
        UNDER_EXPOSED: f"above {settings.most_dark:.0%} black"
        + ("" if site is None
           else f", or background below L* {site.lightness - site.most_darkening:.0f}"),
        OVER_EXPOSED: f"above {settings.most_bright:.0%} white",
        HARDLY_STAINED: f"below {settings.least_colour:g} in a*, b*",
        OTHER_HUE: relative if site is None
        else f"{site.most_hue_shift:.0f} degrees off {site.hue:.0f}",
        EMPTY_FIELD: f"nuclei below {settings.least_nuclei:.1%} of the pixels",
        MARKED: f"a straight edge above {settings.longest_line:.0%} of the side, or text",
        COLOUR_CAST: relative if site is None
        else f"{site.most_cast:.0f} in a*, b* off ({site.tint[0]:.0f}, {site.tint[1]:.0f})",
        OTHER_MAGNIFICATION: relative if site is None
        else f"{site.most_magnification:.2f} x off nuclei of {site.diameter:.1%} of the side",
    }  # fmt: skip


def table(found: Survey, settings: Quality) -> Table:
    """Return a table of reasons: check, limit, images."""
    shown = Table(box=None, pad_edge=False)
    for column in ("check", "what is wrong", "from where on"):
        shown.add_column(column, overflow="fold")
    shown.add_column("images", justify="right")
    told = limits(settings, found.usual)
    for reason, count in found.counts.items():
        style = "yellow" if count else ""
        shown.add_row(REASONS[reason], reason, told[reason], str(count), style=style)
    return shown


def summary(found: Survey, settings: Quality) -> str:
    """Say in a sentence what the survey comes to."""
    unfit = sum(
        any(REASONS[f.reason] in settings.leave_out for f in flags) for flags in found.flags
    )
    marked = found.counts[MARKED]
    text = f"{unfit} of {len(found.examples)} images look unfit"
    if marked and "mark" not in settings.leave_out:
        text += f"; {marked} carry a burnt-in mark, which a study's crop or mask should remove"
    does = (
        "they are left out of every study"
        if settings.action == "leave_out"
        else ("they are used all the same (quality.action: report)")
    )
    return f"{text}; {does}." if unfit else f"{text}."


def survey_json(found: Survey, settings: Quality, root: Path) -> str:
    """Return everything as JSON: counts, limits, and every flagged image."""
    told = limits(settings, found.usual)
    flagged: list[dict[str, Any]] = [
        {
            "path": within(example.image, root),
            "reasons": [
                {"reason": f.reason, "value": round(f.value, 4), "excess": round(f.excess, 3)}
                for f in flags
            ],
        }
        for example, flags in zip(found.examples, found.flags, strict=True)
        if flags
    ]
    value = {
        "notice": "Names of patients' images: this file stays in this hospital.",
        "images": len(found.examples),
        "reasons": {
            reason: {"check": REASONS[reason], "limit": told[reason], "images": count}
            for reason, count in found.counts.items()
        },
        "flagged": sorted(flagged, key=lambda one: -one["reasons"][0]["excess"]),
    }
    return json.dumps(value, indent=2, ensure_ascii=False)
