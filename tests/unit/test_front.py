"""The front's configuration, read by nginx itself; and nginx in front of a small upstream."""

import os
import shutil
import signal
import socket
import ssl
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES

from server.certificates import renew
from server.federation import Federation
from server.front import (
    BURST,
    PATHS,
    REQUESTS_PER_S,
    FrontError,
    check_front,
    front_command,
    front_configuration,
    front_process,
    reload_front,
    write_front,
)
from tests.support.coordinator_folder import write_entry, write_folder
from tests.support.front_sides import (
    answers,
    in_the_link_s_place,
    open_site,
    open_socket,
    refuses,
    shown,
)
from tests.support.keys import node_public_key
from tests.support.processes import Process, wait_until
from tests.support.walls import CARRIER_USER, GROUP, can_wall, hand_over

HAS_NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is not None
needs_nginx = pytest.mark.skipif(not HAS_NGINX, reason="nginx is not installed")
KEYS = {name: node_public_key(n, "ssh").decode() for n, name in enumerate(("north", "gone"), 5)}
SIGNED = {"flwr-public-key": b64encode(node_public_key(5)).decode()}
ELSEWHERE = (
    "/",
    "/docs",
    "/openapi.json",
    "/v1/control/list-runs",
    "/v1/control/start-run",
    "/v1/control/unregister-node",
    "/v1/runtime/acquire-task",
    "/v1/fleet/",
    "/v1/fleet/register-node",
    "/v1/fleet/unregister-node",
    "/v1/fleet/pull-messages/",
    "/v1/fleet/PULL-MESSAGES",
    "/v1/fleet/../control/list-runs",
    "/v1/fleet/%2e%2e/control/list-runs",
    "//v1//control/list-runs",
)
REVOKED = {"flwr-public-key": b64encode(node_public_key(6)).decode()}


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    folder = write_folder(tmp_path / "federation of ours")
    write_entry(folder, "north", KEYS["north"])
    write_entry(folder, "gone", KEYS["gone"], revoked=True)
    return folder


@pytest.fixture
def seen(federation: Federation) -> Iterator[list[str]]:
    with in_the_link_s_place(federation) as found:
        yield found


@pytest.fixture
def front(federation: Federation, seen: list[str]) -> Iterator[Process]:
    write_front(federation)
    process = Process(front_command(federation), federation.front / "front.log").start()
    try:
        with open_site(federation) as site:
            wait_until(lambda: answers(site), 10, "an answer")
        yield process
    finally:
        process.close()


@needs_nginx
def test_nginx_accepts_what_is_written(federation: Federation) -> None:
    write_front(federation)
    check_front(federation)
    assert (federation.front.stat().st_mode & 0o777) == 0o700


@needs_nginx
def test_a_certificate_that_is_missing_is_told(federation: Federation) -> None:
    write_front(federation)
    federation.front_certificate.unlink()
    with pytest.raises(FrontError, match="does not accept") as caught:
        check_front(federation)
    assert "front.crt" in caught.value.local_detail


def test_a_missing_nginx_is_told(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(federation.path))
    if shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"):
        pytest.skip("nginx is installed")
    with pytest.raises(FrontError, match="not installed"):
        front_command(federation)


def test_what_a_node_calls_is_passed_and_nothing_else(federation: Federation) -> None:
    text = front_configuration(federation)
    passed = [line.split()[1] for line in text.splitlines() if "proxy_pass" in line]
    places = [line.split()[2] for line in text.splitlines() if "location =" in line]
    assert places == ["/health", *PATHS]
    assert passed == [f"https://link{place};" for place in places]
    fleet = {path for _, path in PROTOBUF_REQUEST_TYPES if path.startswith("/v1/fleet/")}
    assert fleet - set(PATHS) == {"/v1/fleet/register-node", "/v1/fleet/unregister-node"}
    assert set(PATHS) < fleet


@needs_nginx
@pytest.mark.usefixtures("front")
class TestRunning:
    def test_it_passes_the_calls_of_admitted_sites_and_health(
        self, federation: Federation, seen: list[str]
    ) -> None:
        with open_site(federation) as site:
            seen.clear()
            for path in PATHS:
                assert site.post(path, content=b"x" * 60_000, headers=SIGNED).status_code == 200
            assert seen == [f"{path} 60000" for path in PATHS]
            answer = site.get("/health")
            assert (answer.status_code, answer.headers["server"]) == (200, "nginx")

    def test_a_site_is_known_after_a_reload(self, federation: Federation) -> None:
        with open_site(federation) as site:
            path = "/v1/fleet/pull-messages"
            assert site.post(path, headers=REVOKED).status_code == 401
            write_entry(federation, "gone", KEYS["gone"])
            assert reload_front(federation)
            wait_until(lambda: site.post(path, headers=REVOKED).status_code == 200, 10, "a reload")

    def test_everything_else_is_refused(self, federation: Federation, seen: list[str]) -> None:
        with open_site(federation) as site:
            seen.clear()
            for path in ELSEWHERE:
                for method in ("GET", "POST", "PUT", "DELETE"):
                    found = site.request(method, path, headers=SIGNED).status_code
                    assert (method, path, found) == (method, path, 403)
            assert seen == []

    def test_a_path_written_otherwise_reaches_the_link_as_it_should_be(
        self, federation: Federation, seen: list[str]
    ) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in SIGNED.items())
        with open_socket(federation) as site:
            seen.clear()
            site.sendall(
                b"POST /v1/control/../fleet/pull-messages HTTP/1.1\r\nHost: x\r\n"
                + f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            assert site.recv(100).startswith(b"HTTP/1.1 200")
        assert seen == ["/v1/fleet/pull-messages 0"]

    def test_what_is_too_large_or_a_strangers_stays_outside(
        self, federation: Federation, seen: list[str]
    ) -> None:
        with open_site(federation) as site:
            seen.clear()
            piece = b"x" * (5 * 2**20 + 1000)
            sizes = {"push-object": piece, "push-messages": piece, "pull-object": piece[:70_000]}
            found = {
                path: site.post(f"/v1/fleet/{path}", content=body, headers=SIGNED).status_code
                for path, body in sizes.items()
            }
            assert found == {"push-object": 200, "push-messages": 413, "pull-object": 413}
            for strangers in ({}, REVOKED, {"flwr-public-key": "AAAA"}):
                answer = site.post("/v1/fleet/push-object", content=piece, headers=strangers)
                assert answer.status_code == 401
            assert site.get("/v1/fleet/push-object", headers=SIGNED).status_code == 403
            assert site.post("/health").status_code == 403
            assert seen == [f"/v1/fleet/push-object {len(piece)}"]

    def test_an_old_tls_and_plain_text_are_refused(self, federation: Federation) -> None:
        context = ssl.create_default_context(cafile=federation.authority)
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with (
            socket.create_connection(("127.0.0.1", federation.settings.port)) as plain,
            pytest.raises(ssl.SSLError),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
        found = httpx.get(f"http://127.0.0.1:{federation.settings.port}/health", trust_env=False)
        assert found.status_code == 400

    def test_a_link_with_a_foreign_certificate_is_not_believed(
        self, federation: Federation, seen: list[str]
    ) -> None:
        foreign = write_folder(federation.path.parent / "foreign")
        shutil.copyfile(foreign.authority, federation.authority.with_name("other.crt"))
        file = federation.front / "nginx.conf"
        file.write_text(file.read_text().replace("tls/ca.crt", "tls/other.crt"), encoding="utf-8")
        number = front_process(federation)
        assert number is not None
        os.kill(number, signal.SIGHUP)
        with open_site(federation) as site:
            wait_until(lambda: site.get("/health").status_code == 502, 10, "the refusal")
            seen.clear()
            assert site.get("/health").status_code == 502
            assert seen == []

    def test_a_renewed_certificate_is_taken_by_a_reload(
        self, federation: Federation, front: Process
    ) -> None:
        before, number = shown(federation), front.pid
        renew(federation)
        assert shown(federation) == before
        assert reload_front(federation)
        wait_until(lambda: shown(federation) != before, 10, "the new certificate")
        assert front.pid == number
        federation.front_certificate.write_text("nonsense", encoding="ascii")
        with pytest.raises(FrontError, match="does not accept"):
            reload_front(federation)
        assert shown(federation) != before  # it goes on as it was

    def test_one_address_cannot_ask_without_end(self, federation: Federation) -> None:
        file, number = federation.front / "nginx.conf", front_process(federation)
        text = file.read_text(encoding="utf-8")
        assert f"rate={REQUESTS_PER_S}r/s" in text
        assert f"burst={BURST} " in text
        few = text.replace(f"rate={REQUESTS_PER_S}r/s", "rate=1r/s")
        file.write_text(few.replace(f"burst={BURST} ", "burst=5 "), encoding="utf-8")
        assert number is not None
        os.kill(number, signal.SIGHUP)
        with open_site(federation) as site:
            # A node takes 503 as a reason to ask again.
            wait_until(lambda: site.get("/health").status_code == 503, 10, "the limit", 0.01)

    def test_refusals_alone_are_logged(self, federation: Federation, front: Process) -> None:
        with open_site(federation) as site:
            site.get("/health")
            site.get("/docs")
        wait_until(lambda: "403 GET /docs" in front.text(), 5, "the line")
        assert "200" not in front.text()


@needs_nginx
@pytest.mark.skipif(not can_wall(), reason="starting nginx as another user takes root")
def test_it_needs_no_privilege() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # other users may enter, as they may not pytest's own
        federation = write_folder(Path(name) / "federation")
        write_front(federation)
        hand_over(federation.path, CARRIER_USER, 0o700)
        # The pipe is its own user's, as it is where `leukofed-server start` makes it.
        command = ["setpriv", f"--reuid={CARRIER_USER}", f"--regid={GROUP}", "--clear-groups",
                   "sh", "-c", '"$@" 2>&1 | cat', "sh", *front_command(federation)]  # fmt: skip
        process = Process(command, Path(name) / "front.log").start()
        try:
            with open_site(federation) as site:
                wait_until(lambda: refuses(site), 10, "an answer")
            wait_until(lambda: "403 GET /docs" in process.text(), 5, "the line")
        finally:
            process.close()


@needs_nginx
def test_without_a_front_there_is_nothing_to_reload(federation: Federation) -> None:
    assert not reload_front(federation)
    (federation.front / "nginx.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    assert front_process(federation) is None  # this process is no nginx
