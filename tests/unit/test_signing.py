"""The coordinator's signature: what it covers, and that nothing else passes for it."""

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from common.asks import BoosterAsk
from common.digests import digest_arrays
from common.errors import ConfigError
from common.signing import (
    PublicHalf,
    is_signed_study,
    new_key,
    open_signed,
    public_half,
    public_key,
    read_key,
    sign_request,
    sign_study,
    write_key,
)
from common.study.schema import PROTOCOL
from common.troubles import Trouble, Unanswered
from common.wire import Request, WireError, decode_request, encode_request, header_of
from tests.support.exchanges import STUDY, request

laws = settings(deadline=None, derandomize=True)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
ARRAYS = {"w": np.arange(6, dtype=np.float32)}
ASKED = request(parts={"model": digest_arrays(ARRAYS)})
DATA = encode_request(Request(ASKED.step, ASKED.ask, ASKED.parts, {"model": ARRAYS}))
LAUNCH = 1_760_000_000_123
SENT = sign_request(DATA, KEY, LAUNCH)
FRONT = 4 + 4 + 8 + 64  # magic, protocol, launch, signature
SIGNED = FRONT + len(header_of(DATA))  # what lies behind are arrays


def trouble_of(message: bytes, key: Ed25519PublicKey = PUBLIC) -> Trouble:
    with pytest.raises(Unanswered) as raised:
        open_signed(message, key)
    return raised.value.trouble


def test_a_signed_request_comes_back_as_it_was() -> None:
    opened = open_signed(SENT, PUBLIC)
    assert (opened.launch, opened.data) == (LAUNCH, DATA)
    assert (opened.request.step, opened.request.ask) == (ASKED.step, ASKED.ask)
    assert opened.request.parts == ASKED.parts
    assert opened.request.arrays == {}
    assert opened.request.digest == ASKED.digest


@laws
@given(launch=st.integers(0, 2**64 - 1), level=st.integers(0, 9), seed=st.binary(min_size=32))
def test_every_launch_and_request_comes_back(launch: int, level: int, seed: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed[:32])
    data = encode_request(request(BoosterAsk(level=level)))
    opened = open_signed(sign_request(data, key, launch), key.public_key())
    assert (opened.launch, opened.data) == (launch, data)


def test_the_bytes_lie_as_they_are_documented() -> None:
    """By hand: magic, protocol, launch, signature, request; big-endian numbers."""
    magic, protocol, launch = SENT[:4], SENT[4:8], SENT[8:16]
    signature, behind = SENT[16:80], SENT[80:]
    assert magic == b"LKS1"
    assert (protocol, launch) == (bytes([0, 0, 0, PROTOCOL]), LAUNCH.to_bytes(8, "big"))
    assert behind == DATA
    header = DATA[: 8 + int.from_bytes(DATA[4:8], "big")]
    # RFC 8032's signature is deterministic: there is one, and these are the bytes it is on.
    assert KEY.sign(b"leukofed request\n" + launch + header) == signature
    PUBLIC.verify(signature, b"leukofed request\n" + launch + header)
    with pytest.raises(InvalidSignature):
        PUBLIC.verify(signature, b"leukofed request\n" + launch + DATA)


def flipped(message: bytes, bit: int) -> bytes:
    changed = bytearray(message)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_bit_of_front_or_header_can_be_changed() -> None:
    found: dict[str, set[Trouble]] = {}
    for bit in range(8 * SIGNED):
        byte = bit // 8
        place = "magic" if byte < 4 else "protocol" if byte < 8 else "rest"
        found.setdefault(place, set()).add(trouble_of(flipped(SENT, bit)))
    assert found == {
        "magic": {Trouble.NOT_A_REQUEST},
        "protocol": {Trouble.OTHER_PROTOCOL},
        "rest": {Trouble.OTHER_KEY, Trouble.NOT_A_REQUEST},
    }


@laws
@given(st.data())
def test_nothing_in_front_or_header_can_be_replaced(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, SIGNED - 1))
    new = data.draw(st.binary(min_size=1, max_size=SIGNED - start))
    changed = SENT[:start] + new + SENT[start + len(new) :]
    if changed != SENT:
        trouble_of(changed)


def test_a_changed_array_passes_the_signature_and_is_refused_by_its_digest() -> None:
    assert decode_request(open_signed(SENT, PUBLIC).data).arrays["model"]["w"][5] == 5.0
    for bit in range(8 * SIGNED, 8 * len(SENT)):
        opened = open_signed(flipped(SENT, bit), PUBLIC)
        with pytest.raises(WireError):
            decode_request(opened.data)


def test_a_truncated_message_is_refused_at_every_length() -> None:
    for length in range(SIGNED):
        assert trouble_of(SENT[:length]) == Trouble.NOT_A_REQUEST
    for length in range(SIGNED, len(SENT)):
        opened = open_signed(SENT[:length], PUBLIC)  # the header is whole, and so is its signature
        with pytest.raises(WireError):
            decode_request(opened.data)


def test_what_is_added_behind_is_refused() -> None:
    with pytest.raises(WireError):
        decode_request(open_signed(SENT + b"x", PUBLIC).data)


@laws
@given(st.binary(max_size=300))
def test_garbage_is_told_in_a_word(data: bytes) -> None:
    trouble_of(data)
    trouble_of(SENT[:16] + data)
    trouble_of(SENT[:FRONT] + data)


def signed_by_hand(data: bytes, header: bytes, launch: int = 1) -> bytes:
    numbers = (launch).to_bytes(8, "big")
    signature = KEY.sign(b"leukofed request\n" + numbers + header)
    return b"LKS1" + PROTOCOL.to_bytes(4, "big") + numbers + signature + data


def test_a_good_signature_on_something_else_is_no_request() -> None:
    header = b"LKF1" + (2).to_bytes(4, "big") + b"{}"
    assert trouble_of(signed_by_hand(header, header)) == Trouble.NOT_A_REQUEST


def test_unsigned_and_other_keys_and_protocols_are_told_apart() -> None:
    assert trouble_of(DATA) == Trouble.UNSIGNED
    assert trouble_of(SENT, new_key().public_key()) == Trouble.OTHER_KEY
    with pytest.raises(Unanswered) as raised:
        open_signed(SENT[:4] + (9).to_bytes(4, "big") + SENT[8:], PUBLIC)
    assert raised.value.trouble == Trouble.OTHER_PROTOCOL
    assert raised.value.local_detail == f"it has number 9, here it is {PROTOCOL}"


def test_one_launchs_signature_does_not_serve_another() -> None:
    later = SENT[:8] + (LAUNCH + 1).to_bytes(8, "big") + SENT[16:]
    assert trouble_of(later) == Trouble.OTHER_KEY


def test_a_studys_signature_never_serves_as_a_requests() -> None:
    study = base64.b64decode(sign_study(STUDY.digest, KEY))
    assert trouble_of(SENT[:16] + study + DATA) == Trouble.OTHER_KEY
    header = header_of(DATA)
    for text in (header.decode("latin-1"), f"leukofed request\n{'0' * 8}"):
        signature = base64.b64decode(sign_study(text, KEY))
        assert trouble_of(SENT[:16] + signature + DATA) == Trouble.OTHER_KEY


def test_a_requests_signature_never_serves_as_a_studys() -> None:
    assert not is_signed_study(STUDY.digest, base64.b64encode(SENT[16:80]).decode(), PUBLIC)


def test_a_studys_signature_holds_for_its_digest_and_key_only() -> None:
    signature = sign_study(STUDY.digest, KEY)
    PUBLIC.verify(base64.b64decode(signature), b"leukofed study\n" + STUDY.digest.encode())
    assert is_signed_study(STUDY.digest, signature, PUBLIC)
    assert not is_signed_study("0" * 64, signature, PUBLIC)
    assert not is_signed_study(STUDY.digest, signature, new_key().public_key())


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "é", "A" * 88, "=" * 88])
def test_what_is_no_signature_is_none(signature: str) -> None:
    assert not is_signed_study(STUDY.digest, signature, PUBLIC)


def test_a_key_file_is_its_owners_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    write_key(path, KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path).private_bytes_raw() == bytes(range(32))
    loaded = s.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(loaded, Ed25519PrivateKey)


def test_a_key_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    write_key(path, KEY)
    with pytest.raises(FileExistsError):
        write_key(path, new_key())
    assert read_key(path).private_bytes_raw() == bytes(range(32))
    elsewhere = tmp_path / "elsewhere.pem"
    (tmp_path / "link.pem").symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        write_key(tmp_path / "link.pem", new_key())
    assert not elsewhere.exists()


def pem(key: Any, password: bytes | None = None) -> bytes:
    sealed = s.BestAvailableEncryption(password) if password else s.NoEncryption()
    text: bytes = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, sealed)
    return text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "cannot be read"),
        (b"\xff\x00", "cannot be read"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (pem(KEY, b"secret"), "cannot be read"),
        (PUBLIC.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo), "cannot be"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "is no Ed25519 key"),
        (pem(rsa.generate_private_key(65537, 2048)), "is no Ed25519 key"),
    ],
)
def test_a_file_of_another_kind_is_an_operators_error(
    tmp_path: Path, text: bytes, problem: str
) -> None:
    path = tmp_path / "signing.pem"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=problem) as raised:
        read_key(path)
    assert str(path) not in raised.value.problem
    assert raised.value.local_detail == str(path)


def test_a_key_file_that_is_not_there_is_an_operators_error(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pem", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_key(path)


def test_a_public_half_is_44_characters_that_give_the_key_back() -> None:
    text = public_half(KEY)
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=", text)
    assert public_key(text) == PUBLIC
    assert TypeAdapter(PublicHalf).validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "AAAA", public_half(KEY)[:-1], public_half(KEY) + "\n", "é" * 44, "A" * 88, "*" * 44],
)
def test_what_is_no_public_half_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="44 characters of base64"):
        public_key(text)
    with pytest.raises(ValidationError, match="44 characters of base64"):
        TypeAdapter(PublicHalf).validate_python(text)
