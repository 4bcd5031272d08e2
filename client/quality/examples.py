"""The images that quality is judged of: those of the site's own manifest that decode."""

from collections.abc import Sequence
from pathlib import Path

from client.data.manifest import Example, read_manifest, read_table
from client.data.scan import readable, scan
from client.doctor.finding import Watch
from client.pulse import Pulse
from client.site_config import SiteConfig
from common.study.data import Data
from common.study.schema import Study


def usable(
    config: SiteConfig, watch: Watch, study: Study | None = None
) -> tuple[Sequence[Example], Sequence[Path]]:
    """Return the images that can be used, and the other images.

    Args:
        config: names the manifest.
        watch: told of progress.
        study: whose classes and groups count; None: labels may be any, groups are the usual.

    Raises:
        DataError: the manifest breaks the contract, or an image cannot be read from disk.
    """
    if study is None:
        rows = read_table(config.images.manifest, config.images.only)
        labels, data = tuple(sorted({row["label"] for _, row in rows})), Data()
    else:
        labels, data = study.labels.classes, study.data
    manifest = read_manifest(
        config.images.manifest,
        labels,
        data.group,
        only=config.images.only,
        joined_by=data.joined_by,
        root=config.images.root,
    )
    cache = config.cache.folder
    scanned = scan(manifest, cache, _counting(watch, "files digested", len(manifest.examples)))
    of = len(scanned.examples)
    found = readable(scanned.examples, cache, _counting(watch, "images decoded", of))
    watch("images decoded", of, of)
    return found


def _counting(watch: Watch, what: str, of: int) -> Pulse:
    done = 0

    def pulse() -> None:
        nonlocal done
        watch(what, done, of)
        done += 1

    return pulse
