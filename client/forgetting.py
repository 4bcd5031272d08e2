"""Forgetting a patient or a dataset: what this site keeps of it, and what cannot be taken back."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.data.manifest import Row, read_table
from client.data.parallel import in_order
from client.data.remembered import load
from client.data.remnants import EVERYTHING, Images, Remnants, remnants, remove_remnants
from client.egress.forgotten import Forgotten
from client.egress.log import EgressLog
from client.egress.outbox import Outbox
from client.pulse import Pulse, no_pulse
from client.site_config import OWN_FOLDER, QUALITY_SHEET, SUSPECTS_SHEET, SiteConfig
from common.digests import digest_file
from common.errors import ConfigError, DataError
from common.plain_text import plain

Listed = tuple[int, Row]


@dataclass(frozen=True)
class Wish:
    """Whose images are to be forgotten; a row must fit all that is given."""

    patients: tuple[str, ...] = ()
    columns: Mapping[str, str] | None = None
    manifest: Path | None = None
    """A dataset: the rows of this manifest instead of the site's own."""
    unlisted: bool = False
    """What belongs to no image of the site's manifest, any more."""
    everything: bool = False


@dataclass(frozen=True)
class Chosen:
    """The images that a wish means."""

    images: Images
    lines: tuple[tuple[int, str], ...]
    """Their lines in the manifest: number and path."""
    manifest: Path | None
    """Where these lines are."""


@dataclass(frozen=True)
class Run:
    """A run in which this site gave results."""

    study: str
    """Digest of the study."""
    run: str
    first: str
    """When the first result left, UTC, ISO 8601."""
    last: str
    phases: tuple[str, ...]
    is_certain: bool
    """Records of the images were made for this study; else they may have taken part."""


@dataclass(frozen=True)
class Kept:
    """What a site keeps of some images, and where they may have taken part."""

    cache: Remnants
    replies: int
    """Files of the outbox: replies, and what compression left out of them."""
    reply_bytes: int
    runs: tuple[Run, ...]
    sheets: int
    """Contact sheets, which may show one of the images."""
    details: int
    """Lines of the log, and of that of rehearsals, whose local detail names one of the images."""

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to remove."""
        cache = self.cache
        return not (cache.records or cache.findings or self.replies or self.sheets)


def choose(config: SiteConfig, wish: Wish, pulse: Pulse = no_pulse) -> Chosen:
    """Find the images that a wish means.

    Args:
        config: names manifest and cache.
        wish: what is to be forgotten.
        pulse: called before every image that is digested.

    Raises:
        DataError: the manifest cannot be read, or none of its lines fits.
    """
    if wish.everything:
        return Chosen(EVERYTHING, (), None)
    manifest = wish.manifest or config.images.manifest
    own_root = config.images.root if wish.manifest is None else None
    root = own_root or manifest.parent
    rows = read_table(manifest, {})
    for column, value in (wish.columns or {}).items():
        rows = _with_value(rows, column.lower(), {value})
    if wish.patients:
        rows = _with_value(rows, "patient", set(wish.patients))
    images = [root / row["path"].replace("\\", "/") for _, row in rows]
    known = _known_digests(config.cache.folder)
    now = in_order(lambda image: digest_file(image) if image.is_file() else "", images, pulse)
    digests = {digest for digest in now if digest}
    paths = {str(image.absolute()) for image in images}
    digests |= {known[path] for path in paths if path in known}
    if wish.unlisted:
        return Chosen(Images(frozenset(digests), others=True), (), None)
    lines = tuple((number, row["path"]) for number, row in rows)
    return Chosen(Images(frozenset(digests), frozenset(paths)), lines, manifest)


def look(config: SiteConfig, images: Images) -> Kept:
    """Find what the site keeps of some images; nothing is changed.

    Raises:
        CorruptFile: the log is damaged.
    """
    cache = remnants(config.cache.folder, images)
    replies = Outbox(config.state / "outbox").kept()
    runs = _runs(config, cache.studies)
    return Kept(
        cache, len(replies), sum(path.stat().st_size for path in replies), runs,
        len(_sheets(config)), _details(config, images),
    )  # fmt: skip


def forget(config: SiteConfig, chosen: Chosen, found: Kept) -> Kept:
    """Remove what the site keeps of some images, and note in the log how much it was.

    The caller has seen to it that no worker runs.

    Args:
        config: of the site.
        chosen: the images.
        found: what `look` found.

    Returns:
        What was removed.

    Raises:
        DataError: the cache cannot be written to; what was removed until then is gone.
        CorruptFile: the log is damaged, so that no line can be added.
    """
    removed = remove_remnants(config.cache.folder, chosen.images)
    replies = Outbox(config.state / "outbox").forget_replies()
    for sheet in _sheets(config):
        sheet.unlink()
    shutil.rmtree(config.state / OWN_FOLDER, ignore_errors=True)  # what training made of all images
    EgressLog(config.state / "egress.jsonl").append(
        Forgotten(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            site=config.name,
            images=len(chosen.lines) or len(removed.digests),
            records=removed.records,
            findings=removed.findings,
            replies=replies,
            runs=len(found.runs),
        )
    )
    return Kept(
        removed, replies, found.reply_bytes, found.runs, found.sheets, found.details
    )  # fmt: skip


def _sheets(config: SiteConfig) -> list[Path]:
    places = [config.state / name for name in (QUALITY_SHEET, SUSPECTS_SHEET)]
    return [place for place in places if place.exists()]


def _with_value(rows: Sequence[Listed], column: str, values: set[str]) -> list[Listed]:
    """Keep the rows that have one of these values; each of them must be there."""
    if column not in rows[0][1]:
        raise ConfigError(
            f"the manifest has no column `{plain(column)}`",
            fix="choose by a column that it has, as with `--column slide=S1`",
        )
    found = [(number, row) for number, row in rows if row[column] in values]
    missing = values - {row[column] for _, row in found}
    if missing:
        raise DataError(
            f"the manifest has no line with {len(missing)} of these values in `{plain(column)}`",
            fix="write them as the manifest does; if their lines were removed already, "
            "`leukofed-site forget --unlisted` forgets whatever belongs to no line",
            local_detail=", ".join(sorted(missing)),
        )
    return found


def _known_digests(cache: Path) -> dict[str, str]:
    """Return what images' bytes were when the site digested them last, by path."""
    entries = load(cache / "digests.json").items()
    return {path: str(entry[2]) for path, entry in entries if isinstance(entry, list)}


def _runs(config: SiteConfig, certain: set[str]) -> tuple[Run, ...]:
    """Return the runs in which this site gave results; the log does not tell of which images."""
    found: dict[tuple[str, str], Run] = {}
    for left in EgressLog(config.state / "egress.jsonl"):
        if left.status != "done":
            continue
        before = found.get((left.study, left.run))
        phases = before.phases if before else ()
        found[left.study, left.run] = Run(
            left.study, left.run, before.first if before else left.time, left.time,
            phases if left.phase in phases else (*phases, left.phase), left.study in certain,
        )  # fmt: skip
    return tuple(found.values())


def _details(config: SiteConfig, images: Images) -> int:
    """Count the lines of both logs whose local detail names one of the images."""
    logs = (config.state / "egress.jsonl", config.state / "rehearsal" / "egress.jsonl")
    return sum(
        any(path in left.local_detail for path in images.paths)
        for log in logs
        for left in EgressLog(log)
        if left.local_detail
    )
