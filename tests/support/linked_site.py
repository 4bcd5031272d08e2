"""Sites whose links to a real SuperLink are supervised in this process."""

import json
import socket
import ssl
import textwrap
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from client.health import ask_health
from client.link import Patience
from client.site_folder import SiteFolder
from client.supervisor import Supervisor
from tests.support.keys import site_node_key
from tests.support.processes import free_port
from tests.support.super_link import SuperLink

_APP = {
    "pyproject.toml": """\
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "asking"
        version = "0.1.0"
        dependencies = []
        [tool.flwr.app]
        publisher = "tests"
        [tool.flwr.app.components]
        serverapp = "asking:app"
        clientapp = "client.app:app"
        [tool.flwr.app.config]
        out = ""
        words = ""
        node = ""
        """,
    "asking.py": """\
        import time
        from pathlib import Path
        from flwr.app import Message, RecordDict
        from flwr.serverapp import ServerApp
        from common.flower import to_records

        app = ServerApp()

        @app.main()
        def main(grid, context):
            words, node = (str(context.run_config[key]) for key in ("words", "node"))
            content = to_records(words.encode()) if words else RecordDict()
            message = Message(content, dst_node_id=int(node), message_type="query")
            (asked,) = grid.push_messages([message])
            while not (replies := list(grid.pull_messages([asked]))):
                time.sleep(0.2)
            error = replies[0].error
            Path(str(context.run_config["out"])).write_text(f"{error.code} {error.reason}")
        """,
}


def ask(link: SuperLink, node: str, out: Path, words: str = "") -> None:
    """Send a site's carrier a request for its worker.

    Args:
        link: the coordinator's.
        node: the site's.
        out: what is answered is written there.
        words: of the request; without any it is none, and answered at once.
    """
    app = link.home / "asking"
    app.mkdir(exist_ok=True)
    for name, text in _APP.items():
        (app / name).write_text(textwrap.dedent(text), encoding="utf-8")
    settings = f'out="{out}" words="{words}" node="{node}"'
    link.flwr("run", app, "own", "--run-config", settings)


class LinkedSite:
    """A site without a worker, whose link is supervised as `run --only carrier` does.

    Args:
        folder: the site's.
        link: the coordinator's SuperLink.
        address: where the site connects to.
        patience: of the supervisor.
    """

    def __init__(self, folder: Path, link: SuperLink, address: str, patience: Patience) -> None:
        self.site = SiteFolder(folder)
        self._health_port = free_port()
        self._stopping = threading.Event()
        self.site.link.mkdir(parents=True)
        self.site.authority.write_bytes(link.ca.read_bytes())
        site_node_key(self.site.node_key)
        self.node = link.register(self.site.node_key.with_suffix(".pub"))
        lines = {"address": address, "health_port": self._health_port}
        (self.site.link / "link.yaml").write_text(json.dumps(lines), encoding="utf-8")
        self.supervisor = Supervisor(self.site, self.site.logs, worker=None, patience=patience)
        self._thread = threading.Thread(target=self.supervisor.run, args=(self._stopping,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def health(self) -> dict[str, Any]:
        """Return what the site tells of itself."""
        return ask_health(self._health_port) or {}

    def is_heard(self) -> bool:
        """Whether the coordinator answers this site."""
        told = self.health()
        heard = told.get("heard_seconds")
        return bool(told.get("node_runs")) and heard is not None and heard < 5

    def log(self) -> str:
        """Return what the SuperNode printed."""
        return (self.site.logs / "supernode.log").read_text(encoding="utf-8")


class Front:
    """What sites connect to: it passes bytes on to the SuperLink, or ends TLS itself, badly.

    Args:
        port: the SuperLink's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._bad: ssl.SSLContext | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        self._cut()

    def use(self, keys: Path | None) -> None:
        """Cut what is open; from now on show the certificate in a folder, or the SuperLink's."""
        context = None
        if keys is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(keys / "server.crt", keys / "server.key")
        self._bad = context
        self._cut()

    def _cut(self) -> None:
        while self._open:
            connection = self._open.pop()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            if self._bad is not None:
                near.settimeout(5)
                with suppress(OSError), near, self._bad.wrap_socket(near, server_side=True):
                    pass
                continue
            far = socket.create_connection(("127.0.0.1", self._port))
            self._open += [near, far]
            for ends in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=ends, daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError), ExitStack() as end:
        end.callback(sink.shutdown, socket.SHUT_RDWR)
        while data := source.recv(65536):
            sink.sendall(data)
