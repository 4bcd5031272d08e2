"""A certificate that vouches for itself: for two processes that have told each other theirs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from common.errors import LeukofedError

_DAY = timedelta(days=1)


class BadCertificate(LeukofedError):  # noqa: N818 - reads as a fact
    """What was told is no certificate."""


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, both PEM; the key is told to nobody."""

    certificate: bytes
    key: bytes


def new_identity(name: str) -> Identity:
    """Make a key and a certificate of this machine's loopback, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(certificate.public_bytes(Encoding.PEM), secret)


def one_certificate(text: str | None) -> bytes:
    """Return the one certificate that a text holds, written anew.

    Raises:
        BadCertificate: it holds none, more than one, or something else.
    """
    try:
        (found,) = x509.load_pem_x509_certificates((text or "").encode())
    except ValueError as error:
        raise BadCertificate(
            "what it tells is not one certificate", fix="compare the leukofed versions at both ends"
        ) from error
    return found.public_bytes(Encoding.PEM)
