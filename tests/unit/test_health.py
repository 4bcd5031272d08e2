"""What a site tells of itself on localhost."""

import http.client
import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.cli.main import main
from client.health import Health, HealthServer, ask_health
from common.errors import ConfigError
from tests.support.processes import free_port
from tests.support.workers import Gate, Worker

WELL = Health(
    reason="", closed_until=None, worker_answers=True, node_runs=True, node_starts=1,
    heard_seconds=2.5, bytes_up=21_000_000, bytes_down=3_000_000,
)  # fmt: skip
CLOSED = Health(
    reason="", closed_until="19:00", worker_answers=True, node_runs=False, node_starts=4,
    heard_seconds=9000.0, bytes_up=0, bytes_down=0,
)  # fmt: skip
ILL = Health(
    reason="nothing was heard from the coordinator yet", closed_until=None, worker_answers=True,
    node_runs=True, node_starts=1, heard_seconds=None, bytes_up=0, bytes_down=0,
)  # fmt: skip


class Told:
    """A health server whose word can be changed."""

    def __init__(self) -> None:
        self.health = WELL
        self.port = free_port()
        self.server = HealthServer(self.port, lambda: self.health)


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    told.server.start()
    yield told
    told.server.close()


def get(port: int, path: str = "/health") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize(
    ("health", "code", "words"),
    [
        (WELL, 200, "well"),
        (CLOSED, 200, "closed until 19:00"),
        (ILL, 503, "nothing was heard from the coordinator yet"),
    ],
)
def test_the_status_code_tells_the_truth(told: Told, health: Health, code: int, words: str) -> None:
    told.health = health
    status, body = get(told.port)
    assert status == code
    assert json.loads(body)["words"] == words
    assert json.loads(body)["well"] is (code == 200)
    assert ask_health(told.port) == json.loads(body)


def test_there_is_nothing_else(told: Told) -> None:
    assert get(told.port, "/")[0] == 404
    assert get(told.port, "/../etc/passwd")[0] == 404


def test_nobody_answers() -> None:
    assert ask_health(free_port()) is None


def test_a_port_that_is_taken(told: Told) -> None:
    with pytest.raises(ConfigError, match=f"port {told.port} of localhost: Address already"):
        HealthServer(told.port, lambda: WELL)


@pytest.fixture
def site(told: Told) -> Iterator[Path]:
    """A site's folder with a short name, and its health's port."""
    with tempfile.TemporaryDirectory(prefix="lkh-") as name:
        (Path(name) / "link").mkdir()
        (Path(name) / "link" / "link.yaml").write_text(f"health_port: {told.port}\n")
        yield Path(name)


def status(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["status", *map(str, words)])
    return done.exit_code, done.output


def test_status_shows_worker_and_link(told: Told, site: Path) -> None:
    with Worker(Gate()) as worker:
        code, shown = status("--site", site, "--desk", worker.desk)
        assert code == 0
        assert shown.startswith("idle, up for ")
        assert "link: well\ncoordinator last heard: 2 s ago; 21.0 MB up, 3.0 MB down" in shown
        code, shown = status("--site", site, "--desk", worker.desk, "--json")
        found = json.loads(shown)
        assert (code, found["activity"], found["link"]["heard_seconds"]) == (0, "IDLE", 2.5)
        told.server.close()
        assert (
            json.loads(status("--site", site, "--desk", worker.desk, "--json")[1])["link"] is None
        )
        assert "does not run here" in status("--site", site, "--desk", worker.desk)[1]


def test_status_without_a_worker_shows_the_link_and_ends_with_1(told: Told, site: Path) -> None:
    told.health = CLOSED
    code, shown = status("--site", site)
    assert code == 1
    assert "link: closed until 19:00" in shown
    assert "no worker answers at this socket" in shown


class Impostor(BaseHTTPRequestHandler):
    """Another program of this machine, which answers in its own way."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"words": "all is well"}')

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_another_program_at_the_port_is_not_believed() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Impostor) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            assert ask_health(server.server_port) is None
        finally:
            server.shutdown()
            thread.join()
