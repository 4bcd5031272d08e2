"""A federation of real processes on this machine: SuperLink, and a worker and SuperNode per site.

Every party has a folder and a Flower home of its own; TLS and node authentication are on. Where
the walls can be built (as root, on Linux), the workers run without a network, and the SuperNodes
as a user whose view of the file system holds neither images nor weights, and of all that the
federation keeps nothing but the node's own folder.
"""

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.proposal import proposal
from common.signing import new_key, public_half, read_key, write_key
from common.study.schema import Study
from server.run_folder import RunFolder
from simulations.prepare import Prepared
from tests.support.hospital import Site
from tests.support.processes import ROOT, wait_until
from tests.support.relay import Line, Relay
from tests.support.super_link import SuperLink
from tests.support.walls import can_wall

_HEALTHY_S, _ONLINE_S, _ASK_EVERY_S = 60.0, 120.0, 15.0


class Federation:
    """The coordinator's handle on a federation; stops every process at the end.

    Args:
        folder: of everything that the federation keeps.
        prepared: the study, and its sites' images.
        run: the run's folder, holding what `simulations.prepare.prepare` wrote.
        synthetic: the images were generated.
        walls: whether to build them; by default wherever that can be done.
        line: what lies between each site and the SuperLink, for every site its own; by default
            they connect directly.
        launch: other settings of the launch file.
    """

    def __init__(
        self,
        folder: Path,
        prepared: Prepared,
        run: RunFolder,
        *,
        synthetic: bool = True,
        walls: bool | None = None,
        line: Line | None = None,
        **launch: Any,
    ) -> None:
        self.folder = folder
        self.prepared = prepared
        self.run = run
        self.walls = can_wall() if walls is None else walls
        self.nodes: dict[str, str] = {}  # Flower's number for each site's node
        self.home = folder / "coordinator"
        self.key = self._signing_key()
        self._launch = {"synthetic": synthetic, **launch}
        # Made at the start; a socket's path is short.
        self._sockets = Path(tempfile.gettempdir()) / f"lkf-{secrets.token_hex(6)}"
        self.superlink = SuperLink(self.home, folder / "keys")
        self.relays = (
            {name: Relay(lambda: self.superlink.port, line) for name in prepared.study.sites}
            if line is not None
            else {}
        )
        self._lines = ExitStack()
        virtual = prepared.virtual
        images = [virtual.images, *([virtual.weights] if virtual.weights else [])]
        self.sites = {
            name: Site(
                name, folder / "sites" / name, self._sockets / name,
                partial(self._address, name),
                seen=[virtual.folder, *images],
                hidden=[*images, virtual.cache.folder, virtual.folder, folder],
                walls=self.walls,
            )
            for name in prepared.study.sites
        }  # fmt: skip

    def _address(self, name: str) -> str:
        """Return where a site finds the SuperLink."""
        relay = self.relays.get(name)
        return f"127.0.0.1:{relay.port}" if relay else self.superlink.address

    def _signing_key(self) -> Ed25519PrivateKey:
        """Return the coordinator's key; one that an earlier start made goes on to be used."""
        path = self.home / "signing.pem"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            write_key(path, new_key())
        return read_key(path)

    @property
    def study(self) -> Study:
        """The study."""
        return self.prepared.study

    def __enter__(self) -> Self:
        """Make keys and certificates, start every process, admit the sites."""
        try:
            self.superlink.start()
            self._prepare()
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _prepare(self) -> None:
        self._sockets.mkdir()
        self._sockets.chmod(0o755)
        text = proposal(self.study, self.key)
        for site in self.sites.values():
            site.prepare(self.prepared, public_half(self.key), self.superlink.ca)
            site.approve(text)
        launch = {
            "run": str(self.run.path),
            "key": str(self.home / "signing.pem"),
            "sites": {site.name: site.public_key for site in self.sites.values()},
            **self._launch,
        }
        (self.folder / "launch.yaml").write_text(yaml.safe_dump(launch), encoding="utf-8")

    def _start(self) -> None:
        for relay in self.relays.values():
            self._lines.enter_context(relay)
        for site in self.sites.values():
            key = site.link / "node.pub"
            self.nodes[site.name] = self.superlink.register(key, "--name", site.name)
            site.start()
        self.wait_online(list(self.sites))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, and what each of them left behind."""
        with ExitStack() as ends:
            ends.callback(shutil.rmtree, self._sockets, ignore_errors=True)
            ends.callback(self.superlink.close)
            ends.callback(self._lines.close)
            for site in self.sites.values():
                ends.callback(site.close)

    def launch(self) -> str:
        """Submit a run, new or resumed; return Flower's number for it."""
        app = ROOT / "deploy" / "flower-app"
        config = f'launch="{self.folder / "launch.yaml"}"'
        return str(self.superlink.flwr("run", app, "own", "--run-config", config)["run-id"])

    def status(self, run: str) -> str:
        """Return Flower's word for how a run stands."""
        return str(self.superlink.flwr("list", "--run-id", run, "own")["runs"][0]["status"])

    def wait(self, run: str, seconds: float) -> str:
        """Wait until a run has ended; return how."""
        found, asked = "", time.monotonic()

        def has_ended() -> bool:
            # Asking Flower starts a process of a second or two: it is asked seldom, until the
            # run's own folder says that there is nothing left to do.
            nonlocal found, asked
            if self.run.finished or time.monotonic() - asked > _ASK_EVERY_S:
                found, asked = self.status(run), time.monotonic()
            return found.startswith("finished")

        wait_until(has_ended, seconds, f"run {run}", every_s=1.0)
        return found

    def stop(self, run: str) -> None:
        """Stop a run."""
        self.superlink.flwr("stop", run, "own")

    def log(self, run: str) -> str:
        """Return what the run's ServerApp has printed."""
        return self.superlink.flwr_text("log", run, "own", "--show")

    def wait_online(self, names: Sequence[str]) -> None:
        """Wait until these sites' nodes are connected, and their workers listen."""

        def are_online() -> bool:
            return self.superlink.online() >= len(names)

        for name in names:
            site = self.sites[name]
            wait_until(
                lambda site=site: site.socket.exists() or not site.worker.is_alive,  # type: ignore[misc]
                _ONLINE_S,
                f"the worker of {name}",
            )
            if not site.worker.is_alive:
                raise RuntimeError(f"the worker of {name} has ended: {site.worker.text()}")
        wait_until(are_online, _ONLINE_S, "the sites' nodes")

    def record(self) -> list[dict[str, Any]]:
        """Return the events of the run's record so far."""
        try:
            text = (self.run.path / "record.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def metrics(self) -> Mapping[str, Any]:
        """Return the finished run's metrics."""
        found: Mapping[str, Any] = json.loads((self.run.path / "metrics.json").read_bytes())
        return found
