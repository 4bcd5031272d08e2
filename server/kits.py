"""The kits that the coordinator writes for its sites."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from common.errors import ConfigError
from common.kit import Kit, kit_text
from common.signing import public_half, read_key
from common.study.schema import PROTOCOL
from common.whole_file import write_whole
from server.federation import Federation
from server.sites import AdmittedSite


def write_kit(federation: Federation, site: AdmittedSite) -> Path:
    """Write a site's kit from today's settings, signed; return its file, which anyone may read.

    Raises:
        ConfigError: a file of the federation cannot be read, or the kit cannot be written.
    """
    key = read_key(federation.signing_key)
    settings = federation.settings
    path = federation.kits / f"{site.name}.kit.yaml"
    try:
        kit = Kit(
            federation=settings.name, site=site.name, address=settings.address,
            authority=federation.authority.read_text(encoding="ascii"),
            coordinator=public_half(key), public_key=site.public_key,
            contact=settings.contact, terms=settings.terms,
            leukofed=version("leukofed"), protocol=PROTOCOL,
            made=datetime.now(UTC).replace(microsecond=0),
        )  # fmt: skip
        write_whole(path, kit_text(kit, key).encode(), mode=0o644)
    except OSError as error:
        raise ConfigError(
            f"the kit cannot be written: {error.strerror}",
            fix="work as the federation's owner, on a disk with room",
            local_detail=str(error),
        ) from error
    return path
