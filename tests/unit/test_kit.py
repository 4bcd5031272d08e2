"""The enrolment request and the kit: what their signatures cover, and their fingerprints."""

import datetime as dt
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.errors import ConfigError
from common.kit import (
    EnrolmentRequest,
    Kit,
    fingerprint,
    is_fingerprint,
    kit_text,
    node_public_key,
    openssh,
    read_kit,
    read_request,
    request_text,
)
from common.signing import is_signed_kit, is_signed_study, new_key, public_half, sign_kit
from common.study.schema import PROTOCOL
from tests.support.keys import node_public_key as some_key
from tests.support.keys import write_certificates

NODE = ec.derive_private_key(7, ec.SECP384R1())
COORDINATOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MADE = dt.datetime(2026, 11, 25, 9, 30, tzinfo=dt.UTC)
ASKED = EnrolmentRequest(
    site="north", public_key=openssh(NODE.public_key()), contact="IT of North, +49 1 234",
    leukofed="0.1.0", protocol=PROTOCOL, made=MADE,
)  # fmt: skip


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("tls")
    write_certificates(folder)
    return Kit(
        federation="trial", site="north", address="leukofed.example.org:8443",
        authority=(folder / "ca.crt").read_text(encoding="ascii"),
        coordinator=public_half(COORDINATOR), public_key=ASKED.public_key,
        contact="the coordinator", terms="First sentence.\nSecond: with a colon # and a hash.",
        leukofed="0.1.0", protocol=PROTOCOL, made=MADE,
    )  # fmt: skip


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_request_comes_back_as_it_was(tmp_path: Path) -> None:
    assert read_request(written(tmp_path / "request.yaml", request_text(ASKED, NODE))) == ASKED


def test_a_kit_comes_back_as_it_was(kit: Kit, tmp_path: Path) -> None:
    assert read_kit(written(tmp_path / "kit.yaml", kit_text(kit, COORDINATOR))) == kit


def test_mail_may_change_the_ends_of_lines_and_comments(kit: Kit, tmp_path: Path) -> None:
    text = kit_text(kit, COORDINATOR).replace("\n", "\r\n") + "# seen by IT\r\n"
    (tmp_path / "kit.yaml").write_bytes(text.encode())
    assert read_kit(tmp_path / "kit.yaml") == kit


def test_a_comment_behind_a_public_key_does_not_count() -> None:
    commented = ASKED.model_validate(
        {**ASKED.model_dump(), "public_key": f"{ASKED.public_key} root@north"}
    )
    assert commented == ASKED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("site: north", "site: south"),
        ("IT of North", "IT of South"),
        ("2026-11-25T09:30:00Z", "2026-11-25T09:30:01Z"),
        (f"protocol: {PROTOCOL}", f"protocol: {PROTOCOL + 1}"),
        (ASKED.public_key, some_key(8, "ssh").decode()),
    ],
)
def test_nothing_in_a_request_can_be_changed(old: str, new: str, tmp_path: Path) -> None:
    text = request_text(ASKED, NODE)
    assert old in text
    with pytest.raises(ConfigError, match="not signed by the key in it"):
        read_request(written(tmp_path / "request.yaml", text.replace(old, new)))


def test_nobody_can_ask_for_anothers_key(tmp_path: Path) -> None:
    text = request_text(ASKED, ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(ConfigError, match="not signed by the key in it"):
        read_request(written(tmp_path / "request.yaml", text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("leukofed.example.org", "leukofed.example.com"),
        ("site: north", "site: south"),
        ("First sentence.", "First  sentence."),
        pytest.param(public_half(COORDINATOR), public_half(new_key()), id="coordinator"),
        (ASKED.public_key, some_key(8, "ssh").decode()),
    ],
)
def test_nothing_in_a_kit_can_be_changed(old: str, new: str, kit: Kit, tmp_path: Path) -> None:
    text = kit_text(kit, COORDINATOR)
    assert old in text
    with pytest.raises(ConfigError, match="not signed by the coordinator named in it"):
        read_kit(written(tmp_path / "kit.yaml", text.replace(old, new)))


def test_a_certificate_of_another_authority_is_not_signed(kit: Kit, tmp_path: Path) -> None:
    write_certificates(tmp_path)
    text = kit_text(kit, COORDINATOR)
    other = kit.model_copy(update={"authority": (tmp_path / "ca.crt").read_text("ascii")})
    signature = text.partition("# signed: ")[2].partition("\n")[0]
    forged = re.sub(r"# signed: \S+", f"# signed: {signature}", kit_text(other, COORDINATOR))
    with pytest.raises(ConfigError, match="not signed by the coordinator named in it"):
        read_kit(written(tmp_path / "kit.yaml", forged))


@pytest.mark.parametrize("signature", ["", "# signed: AAAA\n", "# signed: A\n", "# signed: ==\n"])
def test_without_a_whole_signature_neither_is_taken(
    signature: str, kit: Kit, tmp_path: Path
) -> None:
    place = tmp_path / "file.yaml"
    asked = re.sub(r"# signed: .*\n", signature, request_text(ASKED, NODE))
    with pytest.raises(ConfigError, match="not signed"):
        read_request(written(place, asked))
    answered = re.sub(r"# signed: .*\n", signature, kit_text(kit, COORDINATOR))
    with pytest.raises(ConfigError, match="not signed"):
        read_kit(written(place, answered))


def test_a_study_signed_is_no_kit_signed() -> None:
    signature = sign_kit("0" * 64, COORDINATOR)
    assert is_signed_kit("0" * 64, signature, COORDINATOR.public_key())
    assert not is_signed_study("0" * 64, signature, COORDINATOR.public_key())


def test_fingerprints_are_those_that_openssl_gives() -> None:
    """`openssl pkey -pubin -outform DER | sha256sum`, and `bc` for the rest."""
    assert fingerprint(ASKED.public_key) == "97932 35809 37217 67547 93236 43003"
    assert fingerprint(some_key(7).decode()) == fingerprint(ASKED.public_key)
    assert fingerprint(public_half(COORDINATOR)) == "24751 17018 66747 89931 85794 66661"


@pytest.mark.parametrize(
    ("told", "is_it"),
    [
        ("97932 35809 37217 67547 93236 43003", True),
        ("979323580937217675479323643003", True),
        ("97932-35809-37217-67547-93236-43003", True),
        ("97932 35809 37217 67547 93236 43004", False),
        ("97932", False),
        ("", False),
    ],
)
def test_a_fingerprint_may_be_typed_with_or_without_gaps(told: str, is_it: bool) -> None:
    assert is_fingerprint(told, ASKED.public_key) is is_it


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1()])
def test_only_keys_on_p384_are_taken(curve: ec.EllipticCurve) -> None:
    with pytest.raises(ValueError, match="P-384"):
        node_public_key(openssh(ec.generate_private_key(curve).public_key()))


@pytest.mark.parametrize(
    "text",
    [
        "", "north", "ecdsa-sha2-nistp384 AAAA", pytest.param(public_half(new_key()), id="ed25519"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="no public key"):
        node_public_key(text)
