"""Certificates and keys of a federation on this machine: what an enrolment would hand out."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server.node_keys import NodeKey, node_key

_HOSTS = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


def write_certificates(folder: Path, days: float = 30) -> None:
    """Write `ca.crt`, and `server.crt` and `server.key` for this machine.

    They are valid from an hour ago; -1 / 48 days make the server's one that has expired.
    """
    authority, server = (
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP384R1()),
    )
    is_authority = x509.BasicConstraints(ca=True, path_length=0)
    serves = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    names = x509.SubjectAlternativeName(_HOSTS)
    folder.mkdir(parents=True, exist_ok=True)
    own = _certificate("federation", authority, authority, 30, (is_authority, True))
    (folder / "ca.crt").write_bytes(own)
    (folder / "server.crt").write_bytes(
        _certificate("superlink", authority, server, days, (names, False), (serves, False))
    )
    _write_private(folder / "server.key", server, s.PrivateFormat.PKCS8)


def site_node_key(path: Path) -> str:
    """Write a SuperNode's private key, if there is none; return its public half in OpenSSH form."""
    public = path.with_suffix(".pub")
    if not public.exists():
        key = ec.generate_private_key(ec.SECP384R1())
        _write_private(path, key, s.PrivateFormat.OpenSSH)
        public.write_bytes(
            key.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
        )
    return public.read_text(encoding="ascii")


def node_public_key(number: int, form: str = "pem") -> bytes:
    """Return a node's public key, the same for the same number."""
    key = ec.derive_private_key(number, ec.SECP384R1()).public_key()
    if form == "ssh":
        return key.public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
    return key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)


def admitted_keys(**numbers: int) -> dict[str, NodeKey]:
    """Return the keys under which sites were admitted, by the numbers of their nodes' keys."""
    found = {name: node_key(node_public_key(number, "ssh")) for name, number in numbers.items()}
    return {name: key for name, key in found.items() if key is not None}


def _certificate(
    name: str,
    authority: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    days: float,
    *extensions: tuple[x509.ExtensionType, bool],
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("federation"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(authority, hashes.SHA256()).public_bytes(s.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey, form: s.PrivateFormat) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(s.Encoding.PEM, form, s.NoEncryption()))
