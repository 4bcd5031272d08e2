"""The federation's certificates: a root of its own, and what it signs for front and SuperLink."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import ConfigError
from common.expiry import Lifetime, lifetime, warn_of_expiry
from common.whole_file import write_whole
from server.federation import Federation

ROOT_DAYS = 3652
"""Ten years: a new root needs a new kit at every site."""
SERVER_DAYS = 397
"""The longest that common TLS libraries take from anybody."""
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_LOOPBACK = ("localhost", "127.0.0.1")
_CLOCKS = timedelta(hours=1)  # those of a site may be behind
_RENEW = "run `leukofed-server renew`"
_NEW_ROOT = "make a new federation in time; every site then needs a new kit"


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, path: Path) -> None:
        """Put the certificate at a path, and its key, which only its owner may read, beside it.

        Raises:
            OSError: it cannot be written.
        """
        # The key first: after a crash between the two, the old certificate meets a new key, and
        # whoever starts with them is told; the same command then writes both again.
        write_whole(path.with_suffix(".key"), self.key, mode=0o600)
        write_whole(path, self.certificate, mode=0o644)


def new_root(name: str, *, days: int = ROOT_DAYS, now: datetime | None = None) -> Issued:
    """Make a root certificate, which may sign others and nothing else."""
    key = ec.generate_private_key(ec.SECP384R1())
    subject = _named(f"LeukoFed {name}")
    builder = (
        _builder(subject, subject, key, _lasting(days, now))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _issued(builder.sign(key, hashes.SHA384()), key)


def issue(
    root: Issued,
    hosts: Sequence[str],
    *,
    days: float = SERVER_DAYS,
    now: datetime | None = None,
) -> Issued:
    """Make a server's certificate.

    Args:
        root: signs it, and outlives it.
        hosts: names and addresses by which the server is reached.
        days: how long it lasts.
        now: the time; None: this machine's clock.

    Raises:
        ConfigError: a host is neither name nor address, or the root's key cannot be read.
    """
    names = x509.SubjectAlternativeName([_host(one) for one in hosts])
    authority = x509.load_pem_x509_certificate(root.certificate)
    signer = _root_key(root)
    key = ec.generate_private_key(ec.SECP384R1())
    begin, end = _lasting(days, now)
    span = begin, min(end, authority.not_valid_after_utc)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        _builder(_named(hosts[0]), authority.subject, key, span)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(identifier, critical=False)
    )
    return _issued(builder.sign(signer, hashes.SHA384()), key)


def write_root(federation: Federation) -> None:
    """Make the federation's root certificate.

    Raises:
        OSError: it cannot be written.
    """
    federation.authority.parent.mkdir(mode=0o700, exist_ok=True)
    new_root(federation.settings.name).write(federation.authority)


def renew(federation: Federation) -> None:
    """Make new certificates for front and SuperLink, from the same root: no site needs a new kit.

    `leukofed-server start` sees that they are new, and lets front and SuperLink take them.

    Raises:
        ConfigError: root certificate or key cannot be read, or a host is no host.
        OSError: a certificate cannot be written.
    """
    root = _read_root(federation)
    issue(root, federation.settings.hosts).write(federation.front_certificate)
    issue(root, _LOOPBACK).write(federation.link_certificate)


def lifetimes(federation: Federation) -> list[Lifetime]:
    """Tell when the federation's certificates end; those that cannot be read are left out."""
    found = []
    for name, path, remedy in (
        ("the federation's root certificate", federation.authority, _NEW_ROOT),
        ("the front's certificate", federation.front_certificate, _RENEW),
        ("the SuperLink's certificate", federation.link_certificate, _RENEW),
    ):
        try:
            found.append(lifetime(name, path.read_bytes(), remedy))
        except (OSError, ValueError):
            continue  # whoever needs it says so; a warning must not stand in the way
    return found


def expiry_warnings(federation: Federation) -> list[str]:
    """Return a sentence for each certificate that has ended, or ends within 30 days."""
    return warn_of_expiry(lifetimes(federation))


def _read_root(federation: Federation) -> Issued:
    path = federation.authority
    try:
        return Issued(path.read_bytes(), path.with_suffix(".key").read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the root certificate or its key cannot be read: {error.strerror}",
            fix="work as the federation's owner, and bring tls/ back from a copy if it is lost",
            local_detail=str(path),
        ) from error


def _root_key(root: Issued) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(root.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(
            "the root certificate's key is no key of ours", fix="bring tls/ back from a copy"
        )
    return key


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not _NAME.fullmatch(text):
        raise ConfigError(
            f"{text!r} is neither a host's name nor its address",
            fix="write it without a port; one with other letters as its punycode, `xn--...`",
        )
    return x509.DNSName(text)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    span: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(span[0])
        .not_valid_after(span[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _lasting(days: float, now: datetime | None) -> tuple[datetime, datetime]:
    here = datetime.now(UTC) if now is None else now
    return here - _CLOCKS, here + timedelta(days=days)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _issued(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    return Issued(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
