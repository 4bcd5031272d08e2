"""A survey of a site's images: every one measured once, on all cores, and judged."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import PIL

from client.data.manifest import Example
from client.data.parallel import ROOM, in_order
from client.data.remembered import load, save
from client.pulse import Pulse, no_pulse
from client.quality.judging import REASONS, Flag, Usual, judge, leads_out, usual
from client.quality.light import Light
from client.quality.marks import Marks
from client.quality.measures import VERSION, Measures, measure
from client.quality.stain import Stain
from client.site_config import Quality
from common.errors import DataError
from common.imaging.decode import decode

# Decoding takes about ten bytes a pixel. Images above this many pixels pass one at a time, so
# that memory is bounded by the largest of them and not by the number of cores.

Progress = Callable[[int, int], None]
"""Told how many images are measured, and of how many."""


def unwatched(done: int, of: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Survey:
    """What was found; the three sequences go together, an entry per image."""

    examples: Sequence[Example]
    measured: Sequence[Measures]
    flags: Sequence[tuple[Flag, ...]]
    usual: Usual | None  # None: too few images to tell

    @property
    def counts(self) -> dict[str, int]:
        """Count the images by what is wrong with them; one may count more than once."""
        counts = Counter(flag.reason for flags in self.flags for flag in flags)
        return {reason: counts[reason] for reason in REASONS}


def survey(
    examples: Sequence[Example],
    settings: Quality,
    cache: Path | None = None,
    pulse: Pulse = no_pulse,
    progress: Progress = unwatched,
    *,
    is_kept: bool = True,
) -> Survey:
    """Measure and judge images.

    Args:
        examples: scanned, with their digests, and known to decode.
        settings: the limits.
        cache: folder in which measures are remembered by digest.
        pulse: called before every image.
        progress: watches.
        is_kept: whether what is new is remembered too.

    Raises:
        DataError: an image cannot be read or decoded any more, or does not fit into memory.
    """
    measured = measures_of(examples, cache, pulse, progress, is_kept=is_kept)
    site = usual(measured, settings)
    return Survey(examples, measured, [judge(m, site, settings) for m in measured], site)


def leave_out(
    examples: Sequence[Example], settings: Quality, cache: Path, pulse: Pulse
) -> tuple[list[Example], Counter[str]]:
    """Return the examples that are fit, and the number of others by the worst reason.

    Args:
        examples: as for `survey`, which also raises.
        settings: what leads out, if anything does.
        cache: folder in which measures are remembered.
        pulse: called before every image.
    """
    if settings.action == "report":
        return list(examples), Counter()
    found = survey(examples, settings, cache, pulse)
    reasons = [leads_out(flags, settings) for flags in found.flags]
    fit = [e for e, reason in zip(examples, reasons, strict=True) if reason is None]
    return fit, Counter(reason for reason in reasons if reason is not None)


def measures_of(
    examples: Sequence[Example],
    cache: Path | None = None,
    pulse: Pulse = no_pulse,
    progress: Progress = unwatched,
    *,
    is_kept: bool = True,
) -> list[Measures]:
    """Measure every image that was not measured before; the arguments are those of `survey`."""
    versions = f"{VERSION}-{cv2.__version__}-{PIL.__version__}"
    store = None if cache is None else cache / f"quality-{versions}.json"
    remembered = load(store)
    known = {e.digest: _read(remembered.get(e.digest)) for e in examples}
    missing = {e.digest: e.image for e in examples if known[e.digest] is None}
    done = len(known) - len(missing)
    progress(done, len(known))
    try:
        found_in_order = in_order(_measure, missing.values(), pulse)
        for digest, found in zip(missing, found_in_order, strict=True):
            known[digest] = found
            remembered[digest] = dataclasses.asdict(found)
            done += 1
            progress(done, len(known))
    finally:  # what was measured before an interruption need not be measured again
        if missing and is_kept:
            save(store, remembered)
    return [m for m in (known[e.digest] for e in examples) if m is not None]


def _measure(image: Path) -> Measures:
    try:
        data = image.read_bytes()
        with ROOM.for_image(data):
            return measure(decode(data))
    except (OSError, DataError) as error:
        memory = isinstance(error.__cause__, MemoryError)
        raise DataError(
            "an image does not fit into memory" if memory
            else f"an image cannot be read any more ({type(error).__name__})",
            fix="free memory, then try again" if memory
            else "put it back, or remove it from the manifest, then try again",
            local_detail=f"{image}: {error}",
        ) from error  # fmt: skip


def _read(value: Any) -> Measures | None:
    """Return measures as they were remembered; None for whatever else is there."""
    try:
        return Measures(
            float(value["blur"]),
            Light(**value["light"]),
            Stain(**value["stain"]),
            Marks(**value["marks"]),
        )
    except (TypeError, KeyError, ValueError):
        return None
