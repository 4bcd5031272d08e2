"""Certificates and keys of a federation on this machine: what an enrolment would hand out."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec

from server.certificates import Issued, issue, new_root
from server.node_keys import NodeKey, node_key


def write_certificates(folder: Path, days: int = 30) -> None:
    """Write `ca.crt`, its key `ca.key`, and `server.crt` and `server.key` for this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    new_root("federation", days=days).write(folder / "ca.crt")
    write_server_certificate(folder, days)


def write_server_certificate(folder: Path, days: float) -> None:
    """Write `server.crt` and `server.key` anew; a little below zero days it has expired already."""
    root = Issued((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    issue(root, ("localhost", "127.0.0.1"), days=days).write(folder / "server.crt")


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


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey, form: s.PrivateFormat) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(s.Encoding.PEM, form, s.NoEncryption()))
