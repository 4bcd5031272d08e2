"""What a site holds for a study: its usable examples by part, and what was left out and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.data.groups import check_grouping
from client.data.manifest import Example, Manifest, read_manifest
from client.data.scan import UNREADABLE, readable, scan
from client.data.splits import split
from client.pulse import Pulse, no_pulse
from client.quality.survey import leave_out
from client.site_config import SiteConfig
from common.asks import Part
from common.study.schema import Study

LEFT_OUT = "left out by the site file's labels"


@dataclass(frozen=True)
class Holdings:
    """A site's examples, split; counts of what was left out."""

    parts: Mapping[Part, Sequence[Example]]
    excluded: Mapping[str, int]
    grouped_by: str


def offered(config: SiteConfig, study: Study) -> Manifest:
    """Read a site's manifest as a study does: its classes, the site's words for them, its groups.

    Raises:
        DataError: as `client.data.manifest.read_manifest` says.
    """
    return read_manifest(
        config.images.manifest,
        study.labels.classes,
        study.data.group,
        only=config.images.only,
        joined_by=study.data.joined_by,
        root=config.images.root,
        words=study.labels.words(config.labels),
    )


def examine(config: SiteConfig, study: Study, pulse: Pulse = no_pulse) -> Holdings:
    """Read the manifest, digest and try every image, drop what cannot be used, and split.

    What is unfit by its quality is dropped too, if the site file says so.

    Args:
        config: names the manifest.
        study: its classes, groups and split.
        pulse: called before every image.

    Raises:
        DataError: the manifest breaks the contract, or its split does; or it does not group by
            the column that the study demands.
    """
    manifest = offered(config, study)
    check_grouping(manifest.grouped_by, study.data)
    scanned = scan(manifest, config.cache.folder, pulse)
    usable, unreadable = readable(scanned.examples, config.cache.folder, pulse)
    excluded = Counter(scanned.excluded)
    if unreadable:
        excluded[UNREADABLE] += len(unreadable)
    if manifest.left_out:
        excluded[LEFT_OUT] += manifest.left_out
    usable, unfit = leave_out(usable, config.quality, config.cache.folder, pulse)
    excluded.update(unfit)
    return Holdings(
        split(usable, study.data.split, study.seed, config.name),
        dict(excluded),
        manifest.grouped_by,
    )
