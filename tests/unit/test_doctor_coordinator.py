"""The way to the coordinator: real TLS servers and a real proxy on the loopback."""

import datetime as dt
import socket
from importlib.metadata import version
from pathlib import Path

import pytest

from client.doctor.coordinator import authority_line, kit_lines, network_lines
from client.doctor.dial import parsed
from client.doctor.finding import Finding
from client.site_folder import SiteFolder
from common.kit import Kit, kit_text
from common.signing import new_key, public_half
from common.study.schema import PROTOCOL
from tests.support.keys import site_node_key, write_certificates
from tests.support.loopback import ConnectProxy, Front
from tests.support.processes import free_port

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation")
    write_certificates(folder, days=90)
    return folder


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    write_certificates(folder, days=90)
    return folder


def site(
    folder: Path, authority: Path | None, address: str = "", proxy: str | None = None
) -> SiteFolder:
    made = SiteFolder(folder / "site")
    made.link.mkdir(parents=True)
    if authority is not None:
        made.authority.write_bytes((authority / "ca.crt").read_bytes())
    lines = [f"address: '{address}'"] + [f"proxy: {proxy}"] * (proxy is not None)
    (made.link / "link.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def found(folder: SiteFolder, now: dt.datetime | None = None) -> dict[str, Finding]:
    now = now or dt.datetime.now(dt.UTC)  # a certificate's days are counted to the second
    return {finding.check: finding for finding in network_lines(folder, now)}


def verdicts(findings: dict[str, Finding]) -> dict[str, str]:
    return {check: finding.verdict for check, finding in findings.items()}


def test_all_is_well_with_the_federations_own_front(tmp_path: Path, federation: Path) -> None:
    with Front(federation) as front:
        findings = found(site(tmp_path, federation, f"localhost:{front.port}"))
    assert verdicts(findings) == dict.fromkeys(
        ("address", "TLS", "front certificate", "SuperLink", "clock"), "ok"
    )
    assert "directly" in findings["address"].text
    assert "for 89 days" in findings["front certificate"].text


def test_the_way_through_a_proxy(tmp_path: Path, federation: Path) -> None:
    with Front(federation) as front, ConnectProxy() as proxy:
        address = f"localhost:{front.port}"
        through = f"http://carrier:p%40ss@127.0.0.1:{proxy.port}"
        findings = found(site(tmp_path, federation, address, through))
    assert set(verdicts(findings).values()) == {"ok"}
    assert "through the proxy" in findings["address"].text
    assert len(proxy.asked) == 3  # reach, look, ask
    assert f"CONNECT {address} HTTP/1.1".encode() in proxy.asked[0]
    assert b"Proxy-Authorization: Basic Y2FycmllcjpwQHNz" in proxy.asked[0]


@pytest.mark.parametrize(
    ("status", "says", "fix"),
    [
        (403, "answers 403", "let this machine through to localhost"),
        (407, "answers 407", "http://USER:PASSWORD@HOST:PORT"),
    ],
)
def test_a_proxy_that_refuses(
    tmp_path: Path, federation: Path, status: int, says: str, fix: str
) -> None:
    with ConnectProxy(refuses=status) as proxy:
        folder = site(tmp_path, federation, "localhost:9", f"http://127.0.0.1:{proxy.port}")
        findings = found(folder)
    assert verdicts(findings) == {"address": "problem"}
    assert says in findings["address"].text
    assert fix in findings["address"].fix


def test_a_proxy_that_is_none(tmp_path: Path, federation: Path) -> None:
    with ConnectProxy(talks=False) as proxy:
        folder = site(tmp_path, federation, "localhost:9", f"http://127.0.0.1:{proxy.port}")
        findings = found(folder)
    assert "no HTTP proxy" in findings["address"].text


def test_a_proxy_that_is_away(tmp_path: Path, federation: Path) -> None:
    away = free_port()
    findings = found(site(tmp_path, federation, "localhost:9", f"http://127.0.0.1:{away}"))
    assert f"the proxy 127.0.0.1:{away} cannot be reached" in findings["address"].text


@pytest.mark.parametrize("by_proxy", [False, True], ids=["directly", "by-proxy"])
def test_whoever_intercepts_tls_is_named(
    tmp_path: Path, federation: Path, stranger: Path, by_proxy: bool
) -> None:
    with (
        Front(federation) as front,
        Front(stranger) as other,
        ConnectProxy(diverts_to=other.port) as proxy,
    ):
        folder = site(
            tmp_path, federation, f"localhost:{front.port if by_proxy else other.port}",
            f"http://127.0.0.1:{proxy.port}" if by_proxy else None,
        )  # fmt: skip
        findings = found(folder)
    assert verdicts(findings) == {"address": "ok", "TLS": "problem"}
    # The stranger's root has the same name, and another key: a name proves nothing.
    assert "its issuer is CN=LeukoFed federation" in findings["TLS"].text
    assert "TLS-inspecting proxy must let this address pass" in findings["TLS"].fix


def test_an_expired_certificate(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    old = tmp_path_factory.mktemp("old")
    write_certificates(old, days=0)
    with Front(old) as front:
        now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
        findings = found(site(tmp_path, old, f"localhost:{front.port}"), now)
    assert verdicts(findings) == {"address": "ok", "TLS": "problem"}
    assert "expired on" in findings["TLS"].text


def test_a_certificate_that_runs_out_soon(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    soon = tmp_path_factory.mktemp("soon")
    write_certificates(soon, days=29)
    with Front(soon) as front:
        folder = site(tmp_path, soon, f"localhost:{front.port}")
        findings = found(folder)
    assert findings["front certificate"].verdict == "warning"
    assert "for 28 days" in findings["front certificate"].text
    assert authority_line(folder, NOW).verdict == "warning"
    assert authority_line(folder, NOW + dt.timedelta(days=40)).verdict == "problem"


def test_a_certificate_for_another_name(tmp_path: Path, federation: Path) -> None:
    with Front(federation, host="127.0.0.2") as front:
        findings = found(site(tmp_path, federation, f"127.0.0.2:{front.port}"))
    assert findings["TLS"].verdict == "problem"
    assert "not good for 127.0.0.2" in findings["TLS"].text


def test_a_server_without_tls(tmp_path: Path, federation: Path) -> None:
    with Front(None) as front:
        findings = found(site(tmp_path, federation, f"localhost:{front.port}"))
    assert "does not speak TLS" in findings["TLS"].text


def test_a_superlink_that_is_down_behind_its_front(tmp_path: Path, federation: Path) -> None:
    with Front(federation, status=502) as front:
        findings = found(site(tmp_path, federation, f"localhost:{front.port}"))
    assert verdicts(findings) == {
        "address": "ok", "TLS": "ok", "front certificate": "ok", "SuperLink": "problem",
        "clock": "ok",
    }  # fmt: skip
    assert "status 502" in findings["SuperLink"].text


@pytest.mark.parametrize(
    ("clock_s", "verdict", "says"),
    [
        (30.0, "ok", "within"),
        (100.0, "warning", "s behind the coordinator's"),
        (-3600.0, "warning", "s ahead of the coordinator's"),
        (None, "ok", "tells no time"),
    ],
)
def test_clocks_that_differ(
    tmp_path: Path, federation: Path, clock_s: float | None, verdict: str, says: str
) -> None:
    with Front(federation, clock_s=clock_s) as front:
        clock = found(site(tmp_path, federation, f"localhost:{front.port}"))["clock"]
    assert (clock.verdict, says in clock.text) == (verdict, True)


def test_nobody_there_and_no_such_name(tmp_path: Path, federation: Path) -> None:
    closed = free_port()
    there = found(site(tmp_path / "1", federation, f"127.0.0.1:{closed}"))
    assert verdicts(there) == {"address": "problem"}
    assert f"127.0.0.1, port {closed}" in there["address"].fix
    unknown = found(site(tmp_path / "2", federation, "no-such-host.invalid:8443"))
    assert "no-such-host.invalid is not known here" in unknown["address"].text


def test_a_silent_server_is_not_waited_for_long(
    tmp_path: Path, federation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.doctor.dial.PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        findings = found(site(tmp_path, federation, f"localhost:{silent.getsockname()[1]}"))
    assert verdicts(findings) == {"address": "ok", "TLS": "problem"}


def test_a_site_that_has_not_joined(tmp_path: Path) -> None:
    folder = site(tmp_path, None)
    assert verdicts(found(folder)) == {"address": "problem"}
    assert [finding.verdict for finding in kit_lines(folder)] == ["problem"]
    assert authority_line(folder, NOW).verdict == "problem"


def test_an_address_in_brackets_is_ipv6() -> None:
    address = parsed("[::1]:8443", None)
    assert (address.host, address.port, str(address)) == ("::1", 8443, "[::1]:8443")


@pytest.mark.parametrize(
    ("leukofed", "protocol", "verdict"),
    [
        (version("leukofed"), PROTOCOL, "ok"),
        ("9.9.9", PROTOCOL, "warning"),
        ("9.9.9", PROTOCOL + 1, "problem"),
    ],
)
def test_versions_at_both_ends(
    tmp_path: Path, federation: Path, leukofed: str, protocol: int, verdict: str
) -> None:
    folder, key = site(tmp_path, federation), new_key()
    kit = Kit(
        federation="trial", site="north", address="localhost:8443",
        authority=(federation / "ca.crt").read_text(encoding="ascii"),
        coordinator=public_half(key), public_key=site_node_key(folder.node_key), contact="",
        terms="", leukofed=leukofed, protocol=protocol, made=NOW,
    )  # fmt: skip
    folder.kit.write_text(kit_text(kit, key), encoding="utf-8")
    assert [finding.verdict for finding in kit_lines(folder)] == ["ok", verdict]
    folder.kit.write_text(kit_text(kit, key).replace("trial", "other"), encoding="utf-8")
    assert [finding.verdict for finding in kit_lines(folder)] == ["problem"]
