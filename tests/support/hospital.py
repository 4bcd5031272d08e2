"""One hospital of a federation of real processes: its files, its worker and its SuperNode."""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from client.sockets import SOCKET_VARIABLE
from common.whole_file import write_whole
from common.yaml_file import dump_yaml
from simulations.prepare import Prepared
from tests.support.keys import site_node_key
from tests.support.processes import BIN, Process, free_port
from tests.support.walls import CARRIER_USER, WORKER_USER, hand_over, wall


class Site:
    """One hospital.

    Args:
        name: as in the study.
        folder: its own; on this machine, but no other party looks into it.
        sockets: a short folder for its sockets.
        superlink: tells the SuperLink's address, once that is known.
        seen: folders of images, manifest and weights; the worker reads them.
        hidden: folders that are empty to the carrier, but for what is its own.
        walls: whether worker and SuperNode are different users, the worker has no network, and
            the SuperNode no images.

    Attributes:
        program: what is started as the worker, with the words of `leukofed-site`; another one may
            be planted before the start.
        carrier_wall: what stands before the SuperNode's command; before another command, it shows
            what a carrier can do.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        sockets: Path,
        superlink: Callable[[], str],
        *,
        seen: Sequence[Path],
        hidden: Sequence[Path],
        walls: bool,
    ) -> None:
        self.name = name
        self.folder = folder
        self.socket = sockets / "worker.sock"
        self.desk = sockets / "desk.sock"
        self.state = folder / "state"
        self.link = folder.with_name(f"{name}-link")  # the SuperNode's own folder
        self.public_key = ""
        self.program = BIN / "leukofed-site"
        self._sockets = sockets
        self._walls = walls
        stage = sockets.with_name(f"{name}-stage")
        as_worker: list[str] = []
        self.carrier_wall: list[str] = []
        if walls:
            as_worker = wall(WORKER_USER, stage / "worker", [folder, *seen], network=False)
            self.carrier_wall = wall(
                CARRIER_USER, stage / "carrier", [self.link], network=True, hidden=hidden
            )
        self.worker = Process(
            [*as_worker, lambda: self.program, "worker", "--site-file", folder / "site.yaml",
             "--approved", folder / "approved", "--socket", self.socket],
            folder / "worker.log",
            {"HOME": str(folder)},
        )  # fmt: skip
        self.node = Process(
            [*self.carrier_wall, BIN / "python", "-P", "-m", "client.supernode",
             "--superlink", superlink, "--root-certificates", self.link / "ca.crt",
             "--auth-supernode-private-key", self.link / "node.key", "--port", free_port],
            self.link / "node.log",
            {
                "FLWR_HOME": str(self.link / "home"),
                "HOME": str(self.link),
                SOCKET_VARIABLE: str(self.socket),
            },
        )  # fmt: skip

    def prepare(self, prepared: Prepared, coordinator: str, authority: Path) -> None:
        """Write the site file and the node's key, and keep the SuperLink's root certificate."""
        for part in (self.folder, self.folder / "approved", self.link, self._sockets):
            part.mkdir(parents=True, exist_ok=True)
        own = prepared.virtual.config(self.name)
        cache = own.cache.model_copy(update={"folder": self.folder / "cache"})
        changes = {"state": self.state, "cache": cache, "coordinator": coordinator}
        config = own.model_copy(update=changes)
        (self.folder / "site.yaml").write_text(dump_yaml(config), encoding="utf-8")
        self.public_key = site_node_key(self.link / "node.key")
        shutil.copyfile(authority, self.link / "ca.crt")
        if self._walls:
            hand_over(self.folder, WORKER_USER, 0o700)
            hand_over(self.link, CARRIER_USER, 0o700)
            hand_over(self._sockets, WORKER_USER, 0o750)

    def approve(self, text: str) -> None:
        """Put a signed study into the folder of approved studies."""
        write_whole(self.folder / "approved" / "study.yaml", text.encode())
        (self.folder / "approved" / "study.yaml").chmod(0o644)

    def start(self) -> None:
        """Start worker and SuperNode."""
        self.worker.start()
        self.node.start()

    def close(self) -> None:
        """End both, and what they left behind."""
        with ExitStack() as ends:
            ends.callback(self.worker.close)
            ends.callback(self.node.close)


def let_in_again(*sites: Site) -> None:
    """Start SuperNodes; their keys are refused until the leases of those before are over."""
    for _ in range(20):
        for site in sites:
            if not site.node.is_alive:
                site.node.start()
        time.sleep(10.0)
        if all(site.node.is_alive for site in sites):
            return
    raise TimeoutError("not every SuperNode was let in again")
