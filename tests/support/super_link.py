"""A real SuperLink with TLS and node authentication, and Flower's own command to ask it."""

import json
import os
import ssl
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.keys import write_certificates
from tests.support.processes import BIN, ENVIRONMENT, Process, free_port, wait_until

_HEALTHY_S = 120.0


class SuperLink:
    """A coordinator's SuperLink; it ends, and what it left behind, at the end.

    Args:
        home: Flower's folder for the coordinator; database and log lie there as well.
        keys: of `ca.crt`, `server.crt` and `server.key`, which are made at the start.
    """

    def __init__(self, home: Path, keys: Path) -> None:
        self.home = home
        self.keys = keys
        self.port = 0  # chosen at the start
        self.process = Process(
            [BIN / "flower-superlink", "--host", "127.0.0.1", "--port", lambda: self.port,
             "--ssl-ca-certfile", self.ca, "--ssl-certfile", keys / "server.crt",
             "--ssl-keyfile", keys / "server.key", "--enable-supernode-auth",
             "--disable-runtime-dependency-installation", "--database", home / "state.db"],
            home / "superlink.log",
            {"FLWR_HOME": str(home)},
        )  # fmt: skip

    @property
    def ca(self) -> Path:
        """The certificate that its own is checked against."""
        return self.keys / "ca.crt"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on a free port, with new certificates and no nodes; wait until it answers."""
        self.home.mkdir(parents=True, exist_ok=True)
        for part in self.home.glob("state.db*"):
            part.unlink()  # an earlier start's
        write_certificates(self.keys)
        self.port = free_port()
        (self.home / "config.toml").write_text(
            '[superlink]\ndefault = "own"\n\n[superlink.own]\n'
            f'address = "{self.address}"\nroot-certificates = "{self.ca}"\n',
            encoding="utf-8",
        )
        self.process.start()
        self.wait_healthy()

    def restart(self) -> None:
        """Start it once more after its end, as it was, and wait until it answers."""
        self.process.start()
        self.wait_healthy()

    def wait_healthy(self) -> None:
        """Wait until it answers."""
        context = ssl.create_default_context(cafile=self.ca)

        def answers() -> bool:
            if not self.process.is_alive:
                raise RuntimeError(f"the SuperLink has ended: {self.process.text()}")
            try:
                return httpx.get(f"https://{self.address}/health", verify=context).is_success
            except httpx.TransportError:
                return False

        wait_until(answers, _HEALTHY_S, "the SuperLink's health")

    def __enter__(self) -> Self:
        try:
            self.start()
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
        """End it, and what it left behind."""
        self.process.close()

    def register(self, public: Path, *words: object) -> str:
        """Admit a site's key; return the number of its node."""
        return str(self.flwr("supernode", "register", public, "own", *words)["node-id"])

    def online(self) -> int:
        """Count the nodes that are connected."""
        nodes = self.flwr("supernode", "list", "own")["nodes"]
        return sum(node["status"] == "online" for node in nodes)

    def flwr(self, *words: object) -> dict[str, Any]:
        """Run one of Flower's commands and return its answer."""
        found: dict[str, Any] = json.loads(self.flwr_text(*words, "--format", "json"))
        return found

    def flwr_text(self, *words: object) -> str:
        """Run one of Flower's commands and return what it printed."""
        done = subprocess.run(
            [BIN / "flwr", *map(str, words)], capture_output=True, text=True, cwd=self.home,
            env={**os.environ, **ENVIRONMENT, "FLWR_HOME": str(self.home)}, timeout=120,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"flwr {words[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout
