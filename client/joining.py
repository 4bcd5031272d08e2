"""Joining a federation: a kit, compared with the site that it is for, and put in place."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from client.site_config import SiteConfig, load_site_config
from client.site_folder import SiteFolder
from common.errors import ConfigError
from common.expiry import lifetime, warn_of_expiry
from common.kit import Kit, openssh, read_kit
from common.study.schema import PROTOCOL
from common.whole_file import write_whole
from common.yaml_file import with_value

_ASK = "ask the coordinator for the kit that answers this site's request.yaml"


@dataclass(frozen=True)
class Offer:
    """A kit that fits this site; whether its coordinator is the right one, people must say."""

    kit: Kit
    text: str
    """The kit's file, as it came."""
    is_known: bool
    """Whether this site takes requests from its coordinator already."""
    name: str
    """The name that the site has had so far."""


def read_offer(folder: SiteFolder, path: Path, *, new_coordinator: bool) -> Offer:
    """Read a kit, and compare it with the site.

    Args:
        folder: the site.
        path: the kit.
        new_coordinator: whether another coordinator than the site's may offer it.

    Raises:
        ConfigError: it is no kit, or is for another site, or of another coordinator, or older than
            the one in use; or a file of the site cannot be read.
    """
    config, kit = _config(folder), read_kit(path)
    if kit.public_key != openssh(_node_key(folder).public_key()):
        raise ConfigError(
            f"this kit is for another key than this site's: for a site {kit.site}", fix=_ASK
        )
    if kit.protocol != PROTOCOL:
        raise ConfigError(
            f"the coordinator speaks version {kit.protocol} of the exchange, here it is {PROTOCOL}",
            fix=f"install leukofed {kit.leukofed} here, or ask the coordinator to install yours",
        )
    is_known = config.coordinator == kit.coordinator
    if config.coordinator is not None and not is_known and not new_coordinator:
        raise ConfigError(
            "this kit is of another coordinator than the one that this site joined",
            fix="ask both; if the coordinator really has a new key, add --new-coordinator",
        )
    if is_known and folder.kit.exists() and read_kit(folder.kit).made > kit.made:
        raise ConfigError(
            "this kit is older than the one in use",
            fix="ask the coordinator for a new one, which `leukofed-server admit` writes",
        )
    return Offer(kit, path.read_text(encoding="utf-8"), is_known, config.name)


def take(folder: SiteFolder, offer: Offer) -> None:
    """Put a kit in place; what a failure left half done, the same call completes.

    Raises:
        ConfigError: a file of the site cannot be read or written.
    """
    kit, link = offer.kit, folder.link / "link.yaml"
    _ = folder.link_settings  # whole, before a word of it is changed
    try:
        site = folder.site_file.read_text(encoding="utf-8")
        site = with_value(with_value(site, "coordinator", kit.coordinator), "name", kit.site)
        address = with_value(link.read_text(encoding="utf-8"), "address", kit.address)
        write_whole(folder.authority, kit.authority.encode(), mode=0o644)
        write_whole(link, address.encode(), mode=0o600)
        write_whole(folder.site_file, site.encode(), mode=0o600)
        write_whole(folder.kit, offer.text.encode(), mode=0o644)
    except OSError as error:
        raise _closed(error) from error
    except ValueError as error:
        raise ConfigError(
            f"the site's files cannot be changed: {error}",
            fix="write the coordinator and name into site.yaml, and the address into "
            "link/link.yaml, as simple values",
        ) from error


def expiry_warnings(folder: SiteFolder) -> list[str]:
    """Return a sentence if the federation's root certificate has ended, or ends within 30 days."""
    try:
        told = lifetime(
            "the federation's root certificate",
            folder.authority.read_bytes(),
            "ask the coordinator for a kit with a new one",
        )
    except (OSError, ValueError):
        return []  # whoever needs it says so; a warning must not stand in the way
    return warn_of_expiry([told])


def _config(folder: SiteFolder) -> SiteConfig:
    if not folder.site_file.exists():
        raise ConfigError(
            "this folder holds no site",
            fix="name the site's folder with --site, or make one with `leukofed-site init`",
            local_detail=str(folder.path),
        )
    return load_site_config(folder.site_file)


def _node_key(folder: SiteFolder) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_ssh_private_key(folder.node_key.read_bytes(), password=None)
    except OSError as error:
        raise _closed(error) from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(
            "the site's node key is no key that Flower takes",
            fix="make a new site with `leukofed-site init`, and send its request",
            local_detail=str(folder.node_key),
        )
    return key


def _closed(error: OSError) -> ConfigError:
    return ConfigError(
        f"a file of the site cannot be read or written: {error.strerror}",
        fix="work as the site's owner, or as root where worker and carrier are two users",
        local_detail=str(error),
    )
