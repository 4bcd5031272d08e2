"""The check of what the images look like: how many are unfit, and how many carry a mark."""

from collections.abc import Collection, Sequence
from pathlib import Path

from client.data.manifest import Example
from client.doctor.finding import Finding, Watch, failed, ok, unwatched, warning
from client.quality.judging import MARKED, leads_out
from client.quality.survey import survey
from client.site_config import SiteConfig
from common.errors import DataError


def quality_line(
    config: SiteConfig,
    examples: Sequence[Example],
    unreadable: Collection[Path] = (),
    watch: Watch = unwatched,
) -> Finding:
    """Measure the images, except those that the site has measured before; nothing is kept.

    Args:
        config: its limits, and the cache in which measures may lie.
        examples: scanned.
        unreadable: which of them cannot be decoded.
        watch: told of progress.
    """
    usable = [example for example in examples if example.image not in set(unreadable)]
    try:
        found = survey(
            usable, config.quality, config.cache.folder,
            progress=lambda done, of: watch("images measured", done, of), is_kept=False,
        )  # fmt: skip
    except DataError as error:
        return failed("quality", error)
    counts = {reason: n for reason, n in found.counts.items() if n}
    if not counts:
        return ok("quality", f"none of {len(usable)} images is flagged")
    told = ", ".join(f"{n} {reason}" for reason, n in counts.items())
    if config.quality.action == "leave_out":
        gone = sum(leads_out(flags, config.quality) is not None for flags in found.flags)
        told += f"; {gone} are left out of every study"
    fix = "look at them: `leukofed-site quality` makes a contact sheet"
    if MARKED in counts:
        fix += "; a mark tells cameras and classes apart: approve studies that crop or mask it"
    return warning("quality", f"of {len(usable)} images: {told}", fix)
