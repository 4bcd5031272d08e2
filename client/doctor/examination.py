"""All checks of a site in order: images, machine, permissions, worker, the way out, a round."""

import datetime as dt
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from client.approved import ApprovedStudies
from client.data.manifest import Manifest
from client.data.scan import scan
from client.data.splits import split
from client.doctor import coordinator, images, machine, permissions, worker
from client.doctor.fields import fields_lines
from client.doctor.finding import Finding, Watch, failed, ok, problem, unwatched, warning
from client.doctor.parts import parts_line
from client.doctor.quality import quality_line
from client.doctor.round import round_line
from client.pulse import Pulse
from client.site_config import SiteConfig
from client.site_folder import SiteFolder
from common.asks import Part
from common.errors import ConfigError, DataError
from common.signing import public_key
from common.study.schema import Study


@dataclass(frozen=True)
class Subject:
    """What is examined."""

    config: SiteConfig
    folder: SiteFolder | None  # None: only the site file is known, and nothing of the link
    studies: tuple[Study, ...]  # what the data and the machine are held against
    is_offline: bool = False

    @property
    def left_out(self) -> list[str]:
        """Tell which checks are left out, and why."""
        found = []
        if self.folder is None:
            found.append(
                "kit, permissions, worker, address, TLS, clock, SuperLink: a site file alone does "
                "not tell them; name the site's folder with --site"
            )
        elif self.is_offline:
            found.append("address, TLS, clock, SuperLink: --offline")
        if not self.studies:
            found.append(
                "labels, parts, cache, memory, speed, weights against a study: none is approved, "
                "and none is named with --study"
            )
        return found


def approved_studies(config: SiteConfig, folder: SiteFolder) -> tuple[Study, ...]:
    """Return the studies that the hospital approved, by name."""
    if config.coordinator is None or not folder.approved.is_dir():
        return ()
    studies = ApprovedStudies(folder.approved, public_key(config.coordinator))
    return tuple(sorted(studies.values(), key=lambda study: study.name))


def examine(subject: Subject, watch: Watch = unwatched) -> Iterator[Finding]:
    """Make every check, one finding after the other; nothing of the site is changed."""
    config, folder = subject.config, subject.folder
    yield _key_line(config)
    manifest: Manifest | None = None
    try:
        manifest, labels = images.listed(config)
    except DataError as error:
        yield failed("manifest", error)
    else:
        yield from _images(subject, manifest, labels, watch)
    yield machine.state_line(config)
    if folder is not None:
        yield from _link(subject, folder, manifest)
    yield worker.guard_line()
    yield round_line(config, watch)


def _key_line(config: SiteConfig) -> Finding:
    if config.coordinator is None:
        return warning(
            "site file", f"site {config.name}; it names no coordinator's key",
            "`leukofed-site join KIT` puts it there; no worker starts without",
        )  # fmt: skip
    return ok("site file", f"site {config.name}; it names the coordinator's key")


def _images(
    subject: Subject, manifest: Manifest, labels: Sequence[str], watch: Watch
) -> Iterator[Finding]:
    """Check the images themselves, then once more as each study sees them."""
    config, count = subject.config, len(manifest.examples)
    yield images.manifest_line(manifest)
    with TemporaryDirectory(prefix="leukofed-") as remembered:
        cache = Path(remembered)
        try:
            scanned = scan(manifest, cache, _counting(watch, "files digested", count))
        except DataError as error:
            yield failed("images", error)
            return
        yield images.duplicates_line(scanned)
        found = images.measured(scanned.examples, watch)
        yield images.readable_line(found)
        if not found.sizes:
            return
        yield quality_line(config, scanned.examples, found.unreadable, watch)
        if not subject.studies:
            fewest = config.limits.fewest_examples
            yield images.size_line(found, None)
            yield images.counts_line(manifest, labels, fewest)
            yield images.groups_line(scanned.examples, labels, manifest.grouped_by)
            yield from fields_lines(scanned.examples, manifest.grouped_by, None)
        used = images.words(config)
        for study in subject.studies:
            labelled = images.labels_line(used, config.labels, study)
            yield labelled
            yield images.size_line(found, study)
            parts: Mapping[Part, int] | None = None
            if labelled.verdict == "ok":
                parts = yield from _for_study(config, study, cache)
            yield from _machine(config, study, parts or _equal_parts(count))


def _for_study(
    config: SiteConfig, study: Study, cache: Path
) -> Generator[Finding, None, Mapping[Part, int] | None]:
    """Check classes, groups and parts as a study sees them; return the images per part."""
    manifest = images.fitting(config, study)
    examples = scan(manifest, cache).examples
    classes = study.labels.classes
    yield images.counts_line(manifest, classes, config.limits.fewest_examples)
    yield images.groups_line(examples, classes, manifest.grouped_by)
    yield from fields_lines(examples, manifest.grouped_by, study)
    yield parts_line(examples, study, config.name, config.limits.fewest_examples)
    try:
        parts = split(examples, study.data.split, study.seed, config.name)
    except DataError:
        return None
    return {part: len(found) for part, found in parts.items()}


def _equal_parts(count: int) -> Mapping[Part, int]:
    """Judge the parts of images whose split is not known."""
    held_back = count // 5
    return {"train": count - 2 * held_back, "validation": held_back, "test": held_back}


def _machine(config: SiteConfig, study: Study, parts: Mapping[Part, int]) -> Iterator[Finding]:
    yield from machine.weights_lines(study, config)
    try:
        made = machine.chains(study)
    except ConfigError as error:
        yield failed("network", error)
        return
    yield machine.disk_line(config, machine.cache_bytes(study, parts, made))
    yield machine.memory_line(made)
    yield from machine.speed_lines(study, config, parts, made)


def _link(subject: Subject, folder: SiteFolder, manifest: Manifest | None) -> Iterator[Finding]:
    now = dt.datetime.now(dt.UTC)
    if not folder.link.is_dir():
        yield problem(
            "link", "the site's folder has no link/ of its carrier", "`leukofed-site init` makes it"
        )
        return
    listed = [] if manifest is None else [example.image for example in manifest.examples]
    if listed:
        yield permissions.worker_line(folder, listed)
    yield from permissions.permission_lines(folder, subject.config, listed)
    yield worker.worker_line(folder)
    wall = worker.wall_line(folder)
    if wall is not None:
        yield wall
    yield from coordinator.kit_lines(folder)
    yield coordinator.authority_line(folder, now)
    if not subject.is_offline:
        yield from coordinator.network_lines(folder, now)


def _counting(watch: Watch, what: str, of: int) -> Pulse:
    done = 0

    def pulse() -> None:
        nonlocal done
        watch(what, done, of)
        done += 1

    return pulse
