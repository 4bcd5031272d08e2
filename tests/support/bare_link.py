"""A SuperLink alone, with TLS and node authentication, and keys for sites that may connect."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from common.signing import new_key, write_key
from common.yaml_file import dump_yaml
from server.control import SUPERLINK, flower_environment, flwr, write_connection
from server.federation import Federation, Settings
from tests.support.keys import site_node_key, write_certificates
from tests.support.processes import BIN, Process, free_port, wait_until

_STARTED_S = 120.0


class BareLink:
    """A running SuperLink, from its being entered to its being left.

    Args:
        folder: holds the federation, and `nodes`: `ca.crt` and, per site, `NAME.key`.
        names: of the sites whose keys are registered.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.federation = Federation(folder / "federation")
        self.nodes = folder / "nodes"
        for part in (self.nodes, self.federation.path):
            part.mkdir(parents=True)
        settings = Settings(name="bare", hosts=("127.0.0.1",), link_port=free_port())
        text = dump_yaml(settings)
        (self.federation.path / "federation.yaml").write_text(text, encoding="utf-8")
        write_key(self.federation.signing_key, new_key())
        self.tls = self.federation.authority.parent
        write_certificates(self.tls)
        write_connection(self.federation)
        shutil.copyfile(self.federation.authority, self.nodes / "ca.crt")
        self.keys = {name: site_node_key(self.nodes / f"{name}.key") for name in names}
        self.process = Process(
            [BIN / "flower-superlink", "--host", "127.0.0.1", "--port", settings.link_port,
             "--ssl-ca-certfile", self.federation.authority,
             "--ssl-certfile", self.tls / "server.crt", "--ssl-keyfile", self.tls / "server.key",
             "--enable-supernode-auth", "--disable-runtime-dependency-installation",
             "--database", self.federation.database],
            self.federation.path / "superlink.log",
            flower_environment(self.federation.flower_home),
        )  # fmt: skip

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.federation.settings.link_port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        text = self.process.text() if self.process.log.exists() else ""
        before = text.count("running on https")
        self.process.start()

        def listens() -> bool:
            if not self.process.is_alive:
                raise RuntimeError(f"the SuperLink has ended: {self.process.text()}")
            return self.process.text().count("running on https") > before

        wait_until(listens, _STARTED_S, "the SuperLink")

    def __enter__(self) -> Self:
        try:
            self.start()
            for name in self.keys:
                key = self.nodes / f"{name}.pub"
                flwr(self.federation, "supernode", "register", key, SUPERLINK, "--name", name)
        except BaseException:
            self.process.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.close()

    def online(self) -> int:
        """Count the nodes that are connected."""
        nodes = flwr(self.federation, "supernode", "list", SUPERLINK)["nodes"]
        return sum(node["status"] == "online" for node in nodes)
