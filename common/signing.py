"""The coordinator's signature on requests, studies and kits: Ed25519 (RFC 8032).

A signed request is a magic number, the protocol's number, the launch, the signature and the
request. The signature covers the launch and the request's header, and through the digests in
that header every array, so it is verified before an array is looked at.
"""

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from pydantic import AfterValidator

from common.errors import ConfigError
from common.study.schema import PROTOCOL
from common.troubles import Trouble, Unanswered
from common.wire import MAGIC as REQUEST_MAGIC
from common.wire import MAX_HEADER, Request, WireError, decode_header, header_of

MAGIC = b"LKS1"
_SIGNATURE = 64  # bytes
_FRONT = len(MAGIC) + 4 + 8 + _SIGNATURE
# One signature never serves as another.
_REQUEST, _STUDY, _KIT = b"leukofed request\n", b"leukofed study\n", b"leukofed kit\n"


@dataclass(frozen=True)
class Signed:
    """A request whose signature is good."""

    launch: int
    """Milliseconds since 1970 at which the coordinator launched, or resumed, the run."""
    request: Request
    """Its header: no arrays."""
    data: bytes
    """The encoded request."""


def sign_request(data: bytes, key: Ed25519PrivateKey, launch: int) -> bytes:
    """Put the coordinator's signature before an encoded request."""
    signature = key.sign(_signed_part(launch, header_of(data)))
    return b"".join(
        (MAGIC, PROTOCOL.to_bytes(4, "big"), launch.to_bytes(8, "big"), signature, data)
    )


LONGEST_FRONT = _FRONT + 8 + MAX_HEADER
"""Bytes of a signed request that its arrays never begin after."""


def open_signed(message: bytes | bytearray, key: Ed25519PublicKey) -> Signed:
    """Read a signed request; its arrays are not looked at, and need not be there yet.

    Raises:
        Unanswered: it is no request, unsigned, of another protocol, or signed by another key.
    """
    if message[:4] == REQUEST_MAGIC:
        raise Unanswered(Trouble.UNSIGNED)
    if message[:4] != MAGIC or len(message) < _FRONT:
        raise Unanswered(Trouble.NOT_A_REQUEST)
    protocol, launch = (int.from_bytes(message[a:b], "big") for a, b in ((4, 8), (8, 16)))
    if protocol != PROTOCOL:
        raise Unanswered(
            Trouble.OTHER_PROTOCOL, local_detail=f"it has number {protocol}, here it is {PROTOCOL}"
        )
    data = bytes(memoryview(message)[_FRONT:])
    try:
        key.verify(bytes(message[16:_FRONT]), _signed_part(launch, header_of(data)))
        return Signed(launch, decode_header(data), data)
    except InvalidSignature as error:
        raise Unanswered(Trouble.OTHER_KEY) from error
    except WireError as error:
        raise Unanswered(Trouble.NOT_A_REQUEST) from error


def sign_study(digest: str, key: Ed25519PrivateKey) -> str:
    """Return the signature, in base64, on a study's digest."""
    return _sign(_STUDY, digest, key)


def is_signed_study(digest: str, signature: str, key: Ed25519PublicKey) -> bool:
    """Say whether a signature in base64 is this key's on a study's digest."""
    return _is_signed(_STUDY, digest, signature, key)


def sign_kit(digest: str, key: Ed25519PrivateKey) -> str:
    """Return the signature, in base64, on a kit's digest."""
    return _sign(_KIT, digest, key)


def is_signed_kit(digest: str, signature: str, key: Ed25519PublicKey) -> bool:
    """Say whether a signature in base64 is this key's on a kit's digest."""
    return _is_signed(_KIT, digest, signature, key)


def new_key() -> Ed25519PrivateKey:
    """Make a signing key."""
    return Ed25519PrivateKey.generate()


def write_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Write a signing key, readable by its owner only.

    Raises:
        FileExistsError: the file exists; a key is never overwritten.
    """
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    try:
        with draft.open("r+b") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)  # whole or not at all, and never over another key
    finally:
        draft.unlink(missing_ok=True)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a signing key.

    Raises:
        ConfigError: it cannot be read, or is no Ed25519 key in PEM.
    """
    fix = "name the file of the coordinator's signing key"
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            "the signing key cannot be read", fix=fix, local_detail=str(path)
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("the signing key is no Ed25519 key", fix=fix, local_detail=str(path))
    return key


def public_half(key: Ed25519PrivateKey) -> str:
    """Return a key's public half as a site file holds it: base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def public_key(text: str) -> Ed25519PublicKey:
    """Read a public half.

    Raises:
        ValueError: it is not base64 of 32 bytes.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("a public key is 44 characters of base64") from error


def _checked(text: str) -> str:
    public_key(text)
    return text


PublicHalf = Annotated[str, AfterValidator(_checked)]
"""The public half of a signing key, 44 characters of base64."""


def _signed_part(launch: int, header: bytes) -> bytes:
    return _REQUEST + launch.to_bytes(8, "big") + header


def _sign(kind: bytes, digest: str, key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.sign(kind + digest.encode())).decode()


def _is_signed(kind: bytes, digest: str, signature: str, key: Ed25519PublicKey) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), kind + digest.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
