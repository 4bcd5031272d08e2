"""`leukofed-server admit`, up to the point where it needs a SuperLink."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from common.kit import EnrolmentRequest, fingerprint, openssh, request_text
from common.study.schema import PROTOCOL
from server.cli.main import main
from server.federation import Federation, Settings
from server.founding import found

NODE = ec.derive_private_key(7, ec.SECP384R1())
ASKED = EnrolmentRequest(
    site="north", public_key=openssh(NODE.public_key()), contact="IT of North, 12 34",
    leukofed="0.1.0", protocol=PROTOCOL, made=datetime(2026, 11, 25, tzinfo=UTC),
)  # fmt: skip


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return found(tmp_path / "one", Settings(name="trial", hosts=("localhost",)))


def admit(
    federation: Federation, *words: str, typed: str = "", request: EnrolmentRequest = ASKED
) -> Result:
    path = federation.path.parent / "request.yaml"
    path.write_text(request_text(request, NODE), encoding="utf-8")
    command = ["admit", str(path), "--federation", str(federation.path), *words]
    result = CliRunner().invoke(main, command, typed)
    assert list(federation.sites.iterdir()) == []
    assert list(federation.kits.iterdir()) == []
    return result


def test_who_asks_is_shown_before_the_question_and_no_means_no(federation: Federation) -> None:
    result = admit(federation, typed="n\n")
    assert result.exit_code == 1
    for words in ("north", "IT of North, 12 34", "0.1.0", fingerprint(ASKED.public_key)):
        assert words in result.output
    assert "the fingerprint is not the hospital's" in result.output


def test_another_fingerprint_is_refused_and_a_question_unanswered(federation: Federation) -> None:
    told = fingerprint(ASKED.public_key)[:-1] + "9"
    assert "nothing was admitted" in admit(federation, "--fingerprint", told).output
    assert admit(federation).exit_code == 1


@pytest.mark.parametrize("sign", ["\x1b[2A", "\r", "\n  Fingerprint  1", "\u202e", "\x9b2A"])
def test_a_request_cannot_write_over_what_is_shown(sign: str, federation: Federation) -> None:
    for key in ("contact", "leukofed"):
        asked = ASKED.model_copy(update={key: f"0.1{sign}"})
        result = admit(federation, request=asked, typed="n\n")
        assert result.exit_code == 1
        assert sign not in result.output


def test_a_refused_request_is_quoted_as_text(federation: Federation) -> None:
    path = federation.path.parent / "request.yaml"
    path.write_text('"\\x1b[2J\\x1b]0;here": 1\n', encoding="utf-8")
    result = CliRunner().invoke(main, ["admit", str(path), "--federation", str(federation.path)])
    assert result.exit_code == 1
    assert r"\x1b[2J\x1b]0;here" in result.output
    assert "\x1b" not in result.output


def test_another_protocol_is_refused_before_the_question(federation: Federation) -> None:
    other = ASKED.model_copy(update={"protocol": PROTOCOL + 1})
    result = admit(federation, request=other)
    assert f"speaks version {PROTOCOL + 1} of the exchange, here it is {PROTOCOL}" in result.output
    assert "Fingerprint" not in result.output


@pytest.mark.parametrize("name", ["North", "a b", "../other", "-a", "x" * 33])
def test_a_name_that_cannot_be_one_is_wrong_usage(name: str, federation: Federation) -> None:
    assert admit(federation, "--name", name).exit_code == 2


def test_another_name_is_shown_beside_the_one_asked_for(federation: Federation) -> None:
    assert "south (asked for north)" in admit(federation, "--name", "south", typed="n\n").output


def test_a_folder_without_a_federation_is_said_to_hold_none(tmp_path: Path) -> None:
    request = tmp_path / "request.yaml"
    request.write_text(request_text(ASKED, NODE), encoding="utf-8")
    command = ["admit", str(request), "--federation", str(tmp_path)]
    result = CliRunner().invoke(main, command, "y\n")
    assert result.exit_code == 1
    assert "this folder holds no federation" in result.output
    assert [one.name for one in tmp_path.iterdir()] == ["request.yaml"]
