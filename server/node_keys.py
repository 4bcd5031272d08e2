"""The keys by which Flower knows its nodes, in one form however they are written."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
    load_ssh_public_key,
)

NodeKey = bytes
"""A public key in DER."""


def node_key(text: bytes) -> NodeKey | None:
    """Read a public key in PEM or OpenSSH form; None if it is none."""
    load = load_ssh_public_key if text.startswith(b"ecdsa-sha2-") else load_pem_public_key
    try:
        return load(text).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):
        return None
