"""The images that quality is judged of: those of the site's own manifest that decode."""

from collections.abc import Sequence
from pathlib import Path

from client.data.manifest import Example, read_manifest, read_table
from client.data.scan import readable, scan
from client.doctor.finding import Watch
from client.pulse import Pulse
from client.site_config import SiteConfig


def usable(config: SiteConfig, watch: Watch) -> tuple[Sequence[Example], Sequence[Path]]:
    """Return the images that can be used under whatever labels they have, and the other images.

    Raises:
        DataError: the manifest breaks the contract, or an image cannot be read from disk.
    """
    rows = read_table(config.images.manifest, config.images.only)
    manifest = read_manifest(
        config.images.manifest,
        sorted({row["label"] for _, row in rows}),
        only=config.images.only,
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
