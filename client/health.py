"""How a site is, told on localhost: for monitoring, and for `leukofed-site status`."""

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from common.errors import ConfigError

_LOCALHOST = "127.0.0.1"
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Health:
    """How a site is. Nothing in it tells of images, patients or paths."""

    reason: str
    """What is wrong, in words; empty if all is well."""
    closed_until: str | None
    """When working hours begin again, local time; None within them."""
    worker_answers: bool
    node_runs: bool
    node_starts: int
    """How often the SuperNode was started since the supervisor was."""
    heard_seconds: float | None
    """How long ago the coordinator was heard; None: never."""
    bytes_up: int
    bytes_down: int

    @property
    def words(self) -> str:
        """All of it in a few words."""
        if self.reason:
            return self.reason
        return "well" if self.closed_until is None else f"closed until {self.closed_until}"

    @property
    def told(self) -> dict[str, Any]:
        """What is told, by name."""
        return {"well": not self.reason, "words": self.words, **asdict(self)}


_FIELDS = {"well", "words", *(field.name for field in fields(Health))}


class HealthServer:
    """Tells a site's health at `http://127.0.0.1:PORT/health`, from `start` to `close`.

    Args:
        port: where.
        health: how the site is now.
    """

    def __init__(self, port: int, health: Callable[[], Health]) -> None:
        class Handler(BaseHTTPRequestHandler):
            server_version, sys_version, timeout = "leukofed", "", 10

            def do_GET(self) -> None:
                if self.path != "/health":
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                now = health()
                body = json.dumps(now.told).encode()
                is_well = not now.reason
                self.send_response(HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing: monitoring asks every few seconds."""

        try:
            self._server = ThreadingHTTPServer((_LOCALHOST, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"the health of this site cannot be told at port {port} of localhost: "
                f"{error.strerror}",
                fix="see whether `leukofed-site run` runs already, or choose another "
                "`health_port` in link/link.yaml",
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="health"
        )

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def ask_health(port: int) -> dict[str, Any] | None:
    """Ask the `leukofed-site run` of this machine how its site is; None if none answers."""
    connection = http.client.HTTPConnection(_LOCALHOST, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/health")
        told = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    is_health = isinstance(told, dict) and told.keys() >= _FIELDS
    return told if is_health else None  # else another program has the port
