"""Enrolment by the commands, with a real SuperLink and SuperNode, from nothing to a revoked key."""

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from cryptography import x509

from client.cli.main import main as site_command
from client.site_folder import SiteFolder
from common.kit import fingerprint, read_kit, read_request
from common.yaml_file import with_value
from server.cli.main import main as server_command
from server.control import flower_environment
from server.federation import Federation
from server.sites import admitted_sites, nodes, register, register_all
from tests.support.processes import BIN, Process, free_port, wait_until

pytestmark = pytest.mark.slow


def call(command: click.Command, *words: object, fails: bool = False) -> str:
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == (1 if fails else 0), (result.output, result.exception)
    return result.output


class Bench:
    """A federation made by the command, without a front: sites dial the SuperLink itself."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        words = ("--host", "127.0.0.1", "--port", port, "--link-port", port)
        call(server_command, "init", "--federation", folder, *words)
        self.federation = made = Federation(folder)
        self.link = Process(
            [BIN / "flower-superlink", "--host", "127.0.0.1", "--port", port,
             "--ssl-ca-certfile", made.authority, "--ssl-certfile", made.link_certificate,
             "--ssl-keyfile", made.link_certificate.with_suffix(".key"),
             "--enable-supernode-auth", "--disable-runtime-dependency-installation",
             "--database", made.database],
            made.logs / "superlink.log",
            flower_environment(made.flower_home),
        )  # fmt: skip

    def call(self, name: str, *words: object, fails: bool = False) -> str:
        return call(server_command, name, *words, "--federation", self.federation.path, fails=fails)

    def start(self) -> None:
        self.link.start()
        wait_until(self.certificate, 60, "the SuperLink")

    def certificate(self) -> x509.Certificate | None:
        """Return the certificate that the SuperLink shows; None: it does not listen yet."""
        try:
            text = ssl.get_server_certificate(
                ("127.0.0.1", self.federation.settings.link_port),
                ca_certs=str(self.federation.authority),
                timeout=5,
            )
        except ConnectionRefusedError:
            return None
        return x509.load_pem_x509_certificate(text.encode())

    def site(self) -> dict[str, Any]:
        """Return what `sites` tells of the newest."""
        found: list[dict[str, Any]] = json.loads(self.call("sites", "--json"))
        return found[-1]

    def kit(self, name: str) -> Path:
        return self.federation.kits / f"{name}.kit.yaml"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path / "coordinator")
    try:
        yield found
    finally:
        found.link.close()


def new_site(folder: Path) -> tuple[Path, str]:
    """Make a site; return its request, and its fingerprint as told by telephone."""
    call(
        site_command, "init", "--site", folder, "--name", "north", "--data", folder.parent, "--yes"
    )
    request = SiteFolder(folder).request
    return request, fingerprint(read_request(request).public_key)


def node_of(site: SiteFolder) -> Process:
    return Process(
        [BIN / "flower-supernode", "--superlink", site.link_settings.address,
         "--root-certificates", site.authority, "--auth-supernode-private-key", site.node_key,
         "--port", free_port],
        site.logs / "node.log",
        flower_environment(site.flower_home),
    )  # fmt: skip


def test_from_nothing_to_a_revoked_key(bench: Bench, tmp_path: Path) -> None:
    site = SiteFolder(tmp_path / "north")
    request, dictated = new_site(site.path)
    bench.start()
    assert "north is admitted" in bench.call("admit", request, "--fingerprint", dictated)
    assert bench.site()["state"] == "never seen"
    kit = bench.kit("north")
    coordinator = fingerprint(read_kit(kit).coordinator)
    call(site_command, "join", kit, "--site", site.path, "--fingerprint", coordinator)

    node = node_of(site).start()
    try:
        wait_until(lambda: bench.site()["state"] == "online", 60, "the site online")

        before = bench.certificate()
        bench.call("renew")
        bench.link.stop()
        bench.start()
        assert bench.certificate() not in (before, None)
        wait_until(lambda: "Connection successful" in node.text(), 60, "the site to come back")

        began = time.monotonic()
        bench.call("revoke", "north", "--yes")
        told = time.monotonic()
        # A node that had given up on the new certificate would stay alive, and hear of nothing.
        wait_until(lambda: not node.is_alive, 10, "the revoked site to be cut off", every_s=0.05)
        ended = time.monotonic()
        print(
            f"\ncut off {ended - began:.1f} s after `revoke` began, {ended - told:.1f} s after it"
        )
    finally:
        node.close()
    assert bench.site()["state"] == "revoked"
    assert "is cut off" in bench.call("revoke", "north", "--yes")
    assert "burnt" in bench.call("admit", request, "--fingerprint", dictated, fails=True)


def test_what_broke_off_is_completed_and_a_lost_database_is_made_anew(
    bench: Bench, tmp_path: Path
) -> None:
    request, dictated = new_site(tmp_path / "north")
    words = ("admit", request, "--fingerprint", dictated)
    assert "the SuperLink does not answer" in bench.call(*words, fails=True)
    assert register(bench.federation) == []
    assert not bench.kit("north").exists()

    bench.start()
    bench.call(*words)
    (entry,) = admitted_sites(bench.federation).values()
    kit = bench.kit("north").read_bytes()

    # As a crash would leave it right after the SuperLink has registered the key.
    file = bench.federation.sites / "north.yaml"
    file.write_text(with_value(file.read_text(encoding="utf-8"), "node_id", None), "utf-8")
    assert admitted_sites(bench.federation) == {}
    assert "north is admitted" in bench.call("admit", request)  # no question: it was answered
    assert admitted_sites(bench.federation) == {"north": entry}

    bench.call("admit", request)
    assert read_kit(bench.kit("north")).public_key == entry.public_key
    assert bench.kit("north").read_bytes() != kit  # another time, another signature

    other, told = new_site(tmp_path / "other")
    refused = bench.call("admit", other, "--fingerprint", told, fails=True)
    assert "there is a site north already, with another key" in refused

    bench.link.stop()
    for part in bench.federation.flower_home.glob("state.db*"):
        part.unlink()
    bench.start()
    assert register_all(bench.federation) == ["north"]
    (anew,) = admitted_sites(bench.federation).values()
    assert anew.public_key == entry.public_key
    assert set(nodes(bench.federation)) == {anew.node_id}
    assert register_all(bench.federation) == []
