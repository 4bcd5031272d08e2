"""A federation of real processes on this machine: SuperLink, and a worker and SuperNode per site.

Every party has a folder and a Flower home of its own; TLS and node authentication are on. Where
the walls can be built (as root, on Linux), the workers run without a network, and the SuperNodes
as a user who can read neither images nor outboxes.
"""

import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.app import SOCKET_VARIABLE
from common.proposal import proposal
from common.signing import new_key, public_half, read_key, write_key
from common.study.schema import Study
from common.whole_file import write_whole
from common.yaml_file import dump_yaml
from server.run_folder import RunFolder
from simulations.prepare import Prepared
from tests.support.keys import site_node_key, write_certificates
from tests.support.processes import BIN, ENVIRONMENT, ROOT, Process, free_port, wait_until
from tests.support.walls import CARRIER_USER, WORKER_USER, can_wall, hand_over, wall

_HEALTHY_S, _ONLINE_S = 60.0, 120.0


class Site:
    """One hospital: its files, its worker and its SuperNode.

    Args:
        name: as in the study.
        folder: its own; on this machine, but no other party looks into it.
        sockets: a short folder for its sockets.
        node: the SuperNode's command line, without its key and its port.
        images: folders of images, manifest and weights.
        walls: whether worker and SuperNode are different users, and the worker has no network.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        sockets: Path,
        node: Sequence[object],
        images: Sequence[Path],
        walls: bool,
    ) -> None:
        self.name = name
        self.folder = folder
        self.socket = sockets / "worker.sock"
        self.desk = sockets / "desk.sock"
        self.state = folder / "state"
        self.link = folder.with_name(f"{name}-link")  # the SuperNode's own folder
        self.public_key = ""
        self._sockets = sockets
        self._walls = walls
        stage = sockets.parent / f"{name}-stage"
        seen = [folder.parent, *images]
        as_worker = wall(WORKER_USER, stage, seen, network=False) if walls else []
        as_carrier = wall(CARRIER_USER, stage, seen, network=True) if walls else []
        self.worker = Process(
            [*as_worker, BIN / "leukofed-site", "worker", "--site-file", folder / "site.yaml",
             "--approved", folder / "approved", "--socket", self.socket],
            folder / "worker.log",
            {"HOME": str(folder)},
        )  # fmt: skip
        self.node = Process(
            [*as_carrier, BIN / "flower-supernode", *node,
             "--auth-supernode-private-key", self.link / "node.key", "--port", free_port()],
            self.link / "node.log",
            {
                "FLWR_HOME": str(self.link / "home"),
                "HOME": str(self.link),
                SOCKET_VARIABLE: str(self.socket),
            },
        )  # fmt: skip

    def prepare(self, prepared: Prepared, coordinator: str, numerics: Any) -> None:
        """Write the site file and the node's key."""
        for part in (self.folder, self.folder / "approved", self.link, self._sockets):
            part.mkdir(parents=True, exist_ok=True)
        own = prepared.virtual.config(self.name)
        cache = own.cache.model_copy(update={"folder": self.folder / "cache"})
        changes = {
            "state": self.state, "cache": cache, "coordinator": coordinator, "numerics": numerics,
        }  # fmt: skip
        config = own.model_copy(update=changes)
        (self.folder / "site.yaml").write_text(dump_yaml(config), encoding="utf-8")
        self.public_key = site_node_key(self.link / "node.key")
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

    def stop(self) -> None:
        """Stop both."""
        for process in (self.node, self.worker):
            if process.is_alive:
                process.stop()


class Federation:
    """The coordinator's handle on a federation; stops every process at the end.

    Args:
        folder: of everything that the federation keeps.
        prepared: the study, and its sites' images.
        run: the run's folder, holding what `simulations.prepare.prepare` wrote.
        synthetic: the images were generated.
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
        **launch: Any,
    ) -> None:
        self.folder = folder
        self.prepared = prepared
        self.run = run
        self.walls = can_wall() if walls is None else walls
        self.port = free_port()
        self.home = folder / "coordinator"
        self.key = self._signing_key()
        self._launch = {"synthetic": synthetic, **launch}
        self._sockets = Path(tempfile.mkdtemp(prefix="lkf-"))
        keys = folder / "keys"
        self.ca = keys / "ca.crt"
        self.link = Process(
            [BIN / "flower-superlink", "--host", "127.0.0.1", "--port", self.port,
             "--ssl-ca-certfile", self.ca, "--ssl-certfile", keys / "server.crt",
             "--ssl-keyfile", keys / "server.key", "--enable-supernode-auth",
             "--disable-runtime-dependency-installation", "--database", self.home / "state.db"],
            self.home / "superlink.log",
            {"FLWR_HOME": str(self.home)},
        )  # fmt: skip
        node = ["--superlink", f"127.0.0.1:{self.port}", "--root-certificates", self.ca]
        virtual = prepared.virtual
        seen = [virtual.folder, virtual.images, *([virtual.weights] if virtual.weights else [])]
        self.sites = {
            name: Site(name, folder / "sites" / name, self._sockets / name, node, seen, self.walls)
            for name in prepared.study.sites
        }

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
        write_certificates(self.ca.parent)
        for part in self.home.glob("state.db*"):
            part.unlink()  # an earlier start's: its nodes are registered anew
        (self.home / "config.toml").write_text(
            '[superlink]\ndefault = "own"\n\n[superlink.own]\n'
            f'address = "127.0.0.1:{self.port}"\nroot-certificates = "{self.ca}"\n',
            encoding="utf-8",
        )
        self._sockets.chmod(0o755)
        text = proposal(self.study, self.key)
        for site in self.sites.values():
            site.prepare(self.prepared, public_half(self.key), self.prepared.virtual.numerics)
            site.approve(text)
        launch = {
            "run": str(self.run.path),
            "key": str(self.home / "signing.pem"),
            "sites": {site.name: site.public_key for site in self.sites.values()},
            **self._launch,
        }
        (self.folder / "launch.yaml").write_text(yaml.safe_dump(launch), encoding="utf-8")
        self.link.start()
        try:
            self.wait_healthy()
            for site in self.sites.values():
                key = site.link / "node.pub"
                self.flwr("supernode", "register", key, "own", "--name", site.name)
                site.start()
            self.wait_online(list(self.sites))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every process."""
        for site in self.sites.values():
            site.stop()
        if self.link.is_alive:
            self.link.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def launch(self) -> str:
        """Submit a run, new or resumed; return Flower's number for it."""
        app = ROOT / "deploy" / "flower-app"
        config = f'launch="{self.folder / "launch.yaml"}"'
        return str(self.flwr("run", app, "own", "--run-config", config)["run-id"])

    def status(self, run: str) -> str:
        """Return Flower's word for how a run stands."""
        return str(self.flwr("list", "--run-id", run, "own")["runs"][0]["status"])

    def wait(self, run: str, seconds: float) -> str:
        """Wait until a run has ended; return how."""
        found = ""

        def has_ended() -> bool:
            nonlocal found
            found = self.status(run)
            return found.startswith("finished")

        wait_until(has_ended, seconds, f"run {run}", every_s=2.0)
        return found

    def stop(self, run: str) -> None:
        """Stop a run."""
        self.flwr("stop", run, "own")

    def log(self, run: str) -> str:
        """Return what the run's ServerApp has printed."""
        return self._run_flwr("log", run, "own", "--show").stdout

    def wait_healthy(self) -> None:
        """Wait until the SuperLink answers."""
        context = ssl.create_default_context(cafile=self.ca)

        def answers() -> bool:
            try:
                found = httpx.get(f"https://127.0.0.1:{self.port}/health", verify=context)
            except httpx.HTTPError:
                return False
            return found.status_code == 200

        wait_until(answers, _HEALTHY_S, "the SuperLink's health")

    def wait_online(self, names: Sequence[str]) -> None:
        """Wait until these sites' nodes are connected, and their workers listen."""

        def are_online() -> bool:
            nodes = self.flwr("supernode", "list", "own")["nodes"]
            return bool(sum(node["status"] == "online" for node in nodes) >= len(names))

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

    def flwr(self, *words: object) -> dict[str, Any]:
        """Run a `flwr` command and return its answer."""
        found: dict[str, Any] = json.loads(self._run_flwr(*words, "--format", "json").stdout)
        return found

    def _run_flwr(self, *words: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **ENVIRONMENT, "FLWR_HOME": str(self.home)}
        done = subprocess.run(
            [str(BIN / "flwr"), *map(str, words)], env=environment, cwd=self.folder,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"flwr {words[0]} failed: {done.stdout}{done.stderr}")
        return done
