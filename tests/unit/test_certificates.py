"""The federation's certificates: taken by a strict TLS library, for their hosts only."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from common.errors import ConfigError
from server.certificates import ROOT_DAYS, SERVER_DAYS, Issued, issue, lifetimes, new_root, renew
from server.federation import Federation, Settings
from server.founding import found

HOSTS = ("leukofed.example.org", "192.0.2.7", "2001:db8::7")


@pytest.fixture(scope="module")
def root() -> Issued:
    return new_root("trial")


def context_for(root: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=root.certificate.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def shake_hands(root: Issued, server: Issued, host: str, folder: Path) -> bytes:
    """Return the certificate that a client accepted under a host's name."""
    server.write(folder / "server.crt")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.crt", folder / "server.key")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with serving.wrap_socket(theirs, server_side=True) as one:
                one.recv(1)
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with context_for(root).wrap_socket(ours, server_hostname=host) as client:
            return client.getpeercert(binary_form=True) or b""
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("host", HOSTS)
def test_the_certificate_holds_for_each_of_its_hosts(
    host: str, root: Issued, tmp_path: Path
) -> None:
    server = issue(root, HOSTS)
    accepted = x509.load_der_x509_certificate(shake_hands(root, server, host, tmp_path))
    assert accepted == x509.load_pem_x509_certificate(server.certificate)


@pytest.mark.parametrize("host", ["example.org", "192.0.2.8", "localhost"])
def test_it_holds_for_no_other_host(host: str, root: Issued, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(root, issue(root, HOSTS), host, tmp_path)


def test_another_root_of_the_same_name_is_another(root: Issued, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(root, issue(new_root("trial"), HOSTS), HOSTS[0], tmp_path)


def test_a_certificate_that_has_ended_is_refused(root: Issued, tmp_path: Path) -> None:
    then = datetime.now(UTC) - timedelta(days=3)
    ended = issue(root, HOSTS, days=2, now=then)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(root, ended, HOSTS[0], tmp_path)


def test_a_certificate_never_outlives_its_root() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    root = new_root("trial", days=10, now=now)
    ends = x509.load_pem_x509_certificate(issue(root, HOSTS, now=now).certificate)
    assert ends.not_valid_after_utc == now + timedelta(days=10)


@pytest.mark.parametrize("host", ["", "a b", "höst", "host:8443", "https://host", "x" * 254, "-x"])
def test_what_is_no_host_is_refused(host: str, root: Issued) -> None:
    with pytest.raises(ConfigError, match="neither a host's name nor its address"):
        issue(root, [host])


def test_renewal_keeps_the_root_and_replaces_the_rest(tmp_path: Path) -> None:
    federation = found(tmp_path / "one", Settings(name="trial", hosts=HOSTS))
    files = sorted(federation.authority.parent.iterdir())
    before = {file.name: file.read_bytes() for file in files}
    renew(federation)
    after = {file.name: file.read_bytes() for file in files}
    assert {name for name in before if before[name] == after[name]} == {"ca.crt", "ca.key"}
    today = datetime.now(UTC)
    assert [(one.ends - today).days + 1 for one in lifetimes(federation)] == [
        ROOT_DAYS,
        SERVER_DAYS,
        SERVER_DAYS,
    ]


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\n"])
def test_without_the_roots_key_nothing_is_renewed(content: bytes | None, tmp_path: Path) -> None:
    federation = found(tmp_path / "one", Settings(name="trial", hosts=HOSTS))
    kept, key = federation.front_certificate.read_bytes(), federation.authority.with_suffix(".key")
    key.unlink()
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(ConfigError, match="root certificate"):
        renew(federation)
    assert federation.front_certificate.read_bytes() == kept


def test_warnings_leave_out_what_cannot_be_read(tmp_path: Path) -> None:
    assert lifetimes(Federation(tmp_path)) == []
