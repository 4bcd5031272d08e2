"""Enrolment in writing: a site's request, and the kit with which the coordinator answers it.

Both are text files that travel by e-mail and hold no secret. The request is signed by the site's
node key, so only the key's owner can ask; the kit is signed by the coordinator. Each names its
signer's key itself: that it is the right one, people tell each other by its fingerprint.
"""

import base64
import binascii
import hashlib
import re
from pathlib import Path
from typing import Annotated, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
    load_ssh_public_key,
)
from pydantic import AfterValidator, AwareDatetime, Field

from common.digests import canonical_json, digest_value
from common.errors import ConfigError
from common.plain_text import one_line, plain
from common.signing import PublicHalf, is_signed_kit, public_key, sign_kit
from common.study.schema import SiteName
from common.study.strict import Strict
from common.yaml_file import dump_yaml, load_yaml

_ASKED = b"leukofed enrolment request\n"  # Flower signs with this key too, never this
_SIGNED = re.compile(r"^# signed: ([A-Za-z0-9+/=]+)$", re.MULTILINE)
_GROUPS, _DIGITS = 6, 5
_ADDRESS = r"^([A-Za-z0-9._-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$"

Document = TypeVar("Document", bound=Strict)


def node_public_key(text: str) -> ec.EllipticCurvePublicKey:
    """Read a node's public key, in OpenSSH form or PEM.

    Raises:
        ValueError: it is none, or not on the curve P-384.
    """
    load = load_ssh_public_key if text.startswith("ecdsa-sha2-") else load_pem_public_key
    try:
        key = load(text.encode())
    except (ValueError, UnsupportedAlgorithm, NotImplementedError) as error:
        raise ValueError("this is no public key in OpenSSH form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("a node's key is ECDSA on the curve P-384")
    return key


def openssh(key: ec.EllipticCurvePublicKey) -> str:
    """Return a node's public key as one line of text, without a comment."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(key: str) -> str:
    """Return what two people compare over the telephone: six groups of five decimal digits.

    They are the SHA-256 of the key in DER, as a number, modulo 10^30: 99.6 bits. To find another
    key with the same digits takes about 2^99 attempts.

    Args:
        key: a node's public key, or the public half of a signing key.

    Raises:
        ValueError: it is neither.
    """
    found = node_public_key(key) if key.startswith(("ecdsa-sha2-", "-----")) else public_key(key)
    der = found.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    number = int.from_bytes(hashlib.sha256(der).digest(), "big") % 10 ** (_GROUPS * _DIGITS)
    digits = f"{number:0{_GROUPS * _DIGITS}d}"
    return " ".join(digits[i : i + _DIGITS] for i in range(0, len(digits), _DIGITS))


def is_fingerprint(told: str, key: str) -> bool:
    """Say whether what somebody typed is a key's fingerprint, however it was spaced."""
    return re.sub(r"[^0-9]", "", told) == fingerprint(key).replace(" ", "")


def _checked_node_key(text: str) -> str:
    return openssh(node_public_key(text))


def _checked_authority(text: str) -> str:
    x509.load_pem_x509_certificates(text.encode())  # a ValueError if there is none
    return text


Line = Annotated[str, AfterValidator(one_line)]
"""A line of text; what a terminal would obey is written out."""
Lines = Annotated[str, AfterValidator(plain)]
"""Some lines of text, likewise."""
NodePublicKey = Annotated[str, AfterValidator(_checked_node_key)]
"""A node's public key in OpenSSH form; a comment behind it is dropped."""


class EnrolmentRequest(Strict):
    """What a hospital sends to be admitted; made by `leukofed-site init`."""

    site: SiteName
    """The name by which the site asks to be known."""
    public_key: NodePublicKey
    """The public half of its node key."""
    contact: Line = Field(max_length=200)
    """Whom the coordinator calls."""
    leukofed: Line = Field(max_length=40)
    """The version that is installed at the site."""
    protocol: int
    """The version of the exchange between coordinator and sites that it speaks."""
    made: AwareDatetime
    """When it was made."""


class Kit(Strict):
    """What the coordinator sends to a site that it admitted; made by `leukofed-server admit`."""

    federation: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    """The federation's name."""
    site: SiteName
    """The name under which the site was admitted."""
    address: str = Field(pattern=_ADDRESS)
    """Where the site connects to, `HOST:PORT`."""
    authority: Annotated[str, AfterValidator(_checked_authority)]
    """The federation's root certificate, PEM."""
    coordinator: PublicHalf
    """The public half of the key that signs studies, requests and this kit."""
    public_key: NodePublicKey
    """The site's key that was admitted."""
    contact: Line
    """Whom the hospital calls."""
    terms: Lines
    """What the parties agreed on."""
    leukofed: Line
    """The version that is installed at the coordinator."""
    protocol: int
    """The version of the exchange between coordinator and sites that it speaks."""
    made: AwareDatetime
    """When it was made."""


def request_text(request: EnrolmentRequest, key: ec.EllipticCurvePrivateKey) -> str:
    """Return a request as the text of a file, signed by the node key that it asks for."""
    signature = key.sign(_ASKED + _content(request), ec.ECDSA(hashes.SHA384()))
    return (
        f"# Site {request.site} asks to be admitted to a federation of LeukoFed.\n"
        "# For the coordinator: `leukofed-server admit` takes this file. It holds no secret.\n"
        f"# fingerprint: {fingerprint(request.public_key)}\n"
        f"# signed: {base64.b64encode(signature).decode()}\n{dump_yaml(request)}"
    )


def read_request(path: Path) -> EnrolmentRequest:
    """Read an enrolment request that the owner of its key signed.

    Raises:
        ConfigError: it cannot be read, is no request, or its key did not sign what it says.
    """
    request, signature = _read(path, EnrolmentRequest, "the enrolment request")
    try:
        node_public_key(request.public_key).verify(
            base64.b64decode(signature, validate=True),
            _ASKED + _content(request),
            ec.ECDSA(hashes.SHA384()),
        )
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise ConfigError(
            "the enrolment request is not signed by the key in it",
            fix="get the hospital's request.yaml again, as `leukofed-site init` wrote it",
            local_detail=str(path),
        ) from error
    return request


def kit_text(kit: Kit, key: Ed25519PrivateKey) -> str:
    """Return a kit as the text of a file, signed by the coordinator's key that it names."""
    return (
        f"# The kit of site {kit.site} for the federation {kit.federation} of LeukoFed.\n"
        "# For the hospital: `leukofed-site join` takes this file. It holds no secret.\n"
        f"# fingerprint of the coordinator: {fingerprint(kit.coordinator)}\n"
        f"# signed: {sign_kit(_digest(kit), key)}\n{dump_yaml(kit)}"
    )


def read_kit(path: Path) -> Kit:
    """Read a kit that the coordinator named in it signed.

    Whether that is the coordinator whom the hospital knows, only the fingerprint tells.

    Raises:
        ConfigError: it cannot be read, is no kit, or its coordinator did not sign what it says.
    """
    kit, signature = _read(path, Kit, "the kit")
    if not is_signed_kit(_digest(kit), signature, public_key(kit.coordinator)):
        raise ConfigError(
            "the kit is not signed by the coordinator named in it",
            fix="get the kit again from the coordinator, as `leukofed-server admit` wrote it",
            local_detail=str(path),
        )
    return kit


def _read(path: Path, kind: type[Document], name: str) -> tuple[Document, str]:
    again = f"get {name} again, whole and unchanged"
    found = load_yaml(path, kind, fix=again)
    signed = _SIGNED.search(path.read_text(encoding="utf-8"))
    if signed is None:
        raise ConfigError(f"{name} is not signed", fix=again, local_detail=str(path))
    return found, signed[1]


def _content(document: Strict) -> bytes:
    return canonical_json(document.model_dump(mode="json"))


def _digest(document: Strict) -> str:
    return digest_value(document.model_dump(mode="json"))
