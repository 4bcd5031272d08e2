"""A federation's folder as `leukofed-server init` and `admit` leave it, on ports that are free."""

from datetime import UTC, datetime
from pathlib import Path

from common.whole_file import write_whole
from common.yaml_file import dump_yaml
from server.federation import Federation, Settings
from server.founding import found
from server.sites import AdmittedSite
from tests.support.processes import free_port


def write_folder(folder: Path, *hosts: str) -> Federation:
    """Make a federation's folder, whose front is reached by these hosts."""
    hosts = hosts or ("127.0.0.1", "localhost")
    settings = Settings(name="trial", hosts=hosts, port=free_port(), link_port=free_port())
    return found(folder, settings)


def write_entry(
    federation: Federation, name: str, public_key: str, *, revoked: bool = False
) -> None:
    """Put a site into the register, whose key the SuperLink need not know."""
    now = datetime.now(UTC)
    entry = AdmittedSite(
        name=name, public_key=public_key.strip(), admitted=now, revoked=now if revoked else None
    )
    write_whole(federation.sites / f"{name}.yaml", dump_yaml(entry).encode())
