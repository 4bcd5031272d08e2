"""Who is not let in by a SuperLink, and what each of them sees; a site's own node beside them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.bare_link import BareLink
from tests.support.keys import site_node_key, write_certificates, write_server_certificate
from tests.support.processes import BIN, Process, free_port, wait_until

pytestmark = pytest.mark.slow
_SEEN_S = 120.0


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareLink]:
    with BareLink(tmp_path_factory.mktemp("strangers") / "link", ["north"]) as link:
        yield link


def node(link: BareLink, name: str, *words: object) -> Process:
    folder = link.nodes / name
    folder.mkdir()
    return Process(
        [
            BIN / "flower-supernode",
            "--superlink",
            link.superlink.address,
            "--port",
            free_port,
            *words,
        ],
        folder / "log",
        {"FLWR_HOME": str(folder)},
    )


def admitted(link: BareLink, name: str, key: str = "north") -> Process:
    words = ("--root-certificates", link.nodes / "ca.crt")
    return node(link, name, *words, "--auth-supernode-private-key", link.nodes / f"{key}.key")


def test_only_the_admitted_key_over_the_federations_own_tls_gets_in(link: BareLink) -> None:
    write_certificates(link.nodes / "foreign")
    site_node_key(link.nodes / "stranger.key")
    key = ("--auth-supernode-private-key", link.nodes / "north.key")
    ca = link.nodes / "ca.crt"
    refused = {
        "failed to activate": admitted(link, "wrong-key", "stranger"),
        "authentication is enabled": node(link, "no-key", "--root-certificates", ca),
        "certificate_verify_failed": node(
            link, "foreign-ca", "--root-certificates", link.nodes / "foreign" / "ca.crt", *key
        ),
    }
    plain = node(link, "plain-text", "--insecure")
    north = admitted(link, "north-node")
    with ExitStack() as ends:
        for process in (*refused.values(), plain, north):
            ends.callback(process.close)
        began = time.monotonic()
        north.start()
        wait_until(lambda: "SuperNode ID" in north.text(), _SEEN_S, "the admitted node")
        for process in (*refused.values(), plain):
            process.start()
        for words, process in refused.items():
            wait_until(lambda process=process: not process.is_alive, _SEEN_S, words)  # type: ignore[misc]
            assert words in process.text().lower()
            assert process.stop() != 0
        wait_until(lambda: "retrying" in plain.text(), _SEEN_S, "the plain-text node's failure")
        print(f"all refused {time.monotonic() - began:.1f} s after the first start")
        assert link.superlink.online() == 1
        assert "SuperNode ID" not in plain.text()
        assert plain.is_alive  # Flower tries for ever: nothing tells it that TLS is wanted
        assert north.is_alive


def test_a_certificate_that_has_expired_is_told_and_a_new_one_lets_the_site_in_again(
    link: BareLink,
) -> None:
    write_server_certificate(link.superlink.keys, -1 / 48)
    link.superlink.process.stop()
    link.superlink.process.start()
    north = admitted(link, "north-later")
    try:
        north.start()
        wait_until(lambda: not north.is_alive, _SEEN_S, "the node's end")
        assert "certificate has expired" in north.text()
        write_server_certificate(link.superlink.keys, 30)
        link.superlink.process.stop()
        link.superlink.restart()
        north.start()
        wait_until(lambda: "SuperNode ID" in north.text(), _SEEN_S, "the node")
        assert link.superlink.online() == 1
    finally:
        north.close()
