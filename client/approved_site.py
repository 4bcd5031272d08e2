"""A site as the commands around approval open it: site file, kit, approved studies."""

from dataclasses import dataclass
from pathlib import Path

from client.approvals import Approvals
from client.site_config import SiteConfig, load_site_config
from client.site_folder import SiteFolder
from common.errors import ConfigError
from common.kit import Kit, read_kit
from common.signing import public_key


@dataclass(frozen=True)
class ApprovedSite:
    """A site's own files."""

    folder: SiteFolder
    config: SiteConfig
    kit: Kit | None
    """The kit of the coordinator whom the site trusts; None where there is none."""
    approvals: Approvals


def open_site(site: Path, site_file: Path | None = None) -> ApprovedSite:
    """Open a site's folder.

    Args:
        site: its folder.
        site_file: the site file, where it is not in the folder.

    Raises:
        ConfigError: there is no site file, it names no coordinator's key, or the kit is damaged.
    """
    folder = SiteFolder(site)
    config = load_site_config(site_file or folder.site_file)
    if config.coordinator is None:
        raise ConfigError(
            "the site file does not name the coordinator's key",
            fix="take the coordinator's kit with `leukofed-site join KIT`, or put the public key "
            "that the coordinator told you into the site file, under `coordinator`",
        )
    kit = read_kit(folder.kit) if folder.kit.is_file() else None
    if kit is not None and kit.coordinator != config.coordinator:
        kit = None  # it tells nothing about the coordinator whom this site trusts
    return ApprovedSite(
        folder, config, kit, Approvals(folder.approved, public_key(config.coordinator))
    )
