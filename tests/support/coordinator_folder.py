"""A federation's folder as `leukofed-server init` leaves it, on ports that are free."""

from pathlib import Path

from common.yaml_file import dump_yaml
from server.control import write_connection
from server.federation import Federation, Settings
from tests.support.keys import write_federation_keys
from tests.support.processes import free_port


def write_folder(folder: Path, *hosts: str) -> Federation:
    """Make a federation's folder, whose front is reached by these hosts."""
    hosts = hosts or ("127.0.0.1", "localhost")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = Settings(name="trial", hosts=hosts, port=free_port(), link_port=free_port())
    (folder / "federation.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    write_federation_keys(folder / "tls", *hosts)
    federation = Federation(folder)
    write_connection(federation)
    return federation
