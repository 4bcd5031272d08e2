"""A federation that `leukofed-server start` serves, and an admitted site's node: real processes."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.control import SUPERLINK, flwr
from server.federation import Federation
from server.services_file import ServicesNow, read_services
from server.sole_service import is_served
from tests.support.coordinator_folder import write_entry, write_folder
from tests.support.keys import site_node_key
from tests.support.outside import Outside
from tests.support.processes import BIN, Process, free_port, wait_until


@dataclass(frozen=True)
class Running:
    """A federation that is being served."""

    federation: Federation
    start: Process

    @property
    def now(self) -> ServicesNow:
        found = read_services(self.federation)
        assert found is not None, self.start.text()
        return found

    @property
    def link(self) -> int:
        number = self.now.link.pid
        assert number is not None
        return number

    @property
    def link_log(self) -> str:
        return (self.federation.logs / "superlink.log").read_text(encoding="utf-8")

    @property
    def refusals(self) -> Counter[str]:
        """What the front answered when it refused, by number."""
        text = (self.federation.front / "front.log").read_text(encoding="utf-8")
        return Counter(re.findall(r" (4\d\d|5\d\d) [A-Z]+ ", text))


@contextmanager
def served(folder: Path, *hosts: str) -> Iterator[Running]:
    """Serve a new federation from this folder, at these names, until the block is left."""
    federation = write_folder(folder, *hosts)
    file = federation.path / "federation.yaml"
    file.write_text(
        file.read_text("utf-8").replace("database_mb: 1000", "database_mb: 10"), "utf-8"
    )
    start = Process(
        [BIN / "leukofed-server", "start", "--federation", federation.path],
        federation.path / "printed.log",
    ).start()
    try:
        begun = time.monotonic()
        wait_until(lambda: is_served(federation) or not start.is_alive, 60, "its lock")
        early = flwr(federation, "supernode", "list", SUPERLINK)  # it waits until there is a link
        assert early["nodes"] == []
        wait_until(lambda: "ready: " in start.text() or not start.is_alive, 120, "front and link")
        assert start.is_alive, start.text()
        print(f"ready after {time.monotonic() - begun:.1f} s")
        yield Running(federation, start)
    finally:
        start.stop(60)


@contextmanager
def admitted(running: Running, folder: Path, outside: Outside | None) -> Iterator[Process]:
    """Run a site's SuperNode, on the other machine if there is one."""
    federation = running.federation
    key = site_node_key(folder / "node.key")
    flwr(federation, "supernode", "register", folder / "node.pub", SUPERLINK, "--name", "north")
    write_entry(federation, "north", key)
    wait_until(lambda: "front reloaded" in running.start.text(), 20, "the reload")
    wall = [] if outside is None else outside.wall()
    address = federation.settings.address
    found = Process(
        [*wall, BIN / "flower-supernode", "--superlink", address, "--root-certificates",
         federation.authority, "--auth-supernode-private-key", folder / "node.key", "--port",
         free_port],
        folder / "node.log",
        {"FLWR_HOME": str(folder)},
    ).start()  # fmt: skip
    try:
        wait_until(lambda: is_online(federation), 60, "the node")
        yield found
    finally:
        found.close()


def is_online(federation: Federation) -> bool:
    nodes = flwr(federation, "supernode", "list", SUPERLINK)["nodes"]
    return [node["status"] for node in nodes] == ["online"]
