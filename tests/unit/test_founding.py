"""`leukofed-server init`: what it makes, for whose eyes, and that it overwrites nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from common.kit import fingerprint
from common.signing import public_half, read_key
from server.cli.main import main
from server.federation import Federation, Settings
from server.founding import found

SETTINGS = Settings(
    name="trial", hosts=("leukofed.example.org", "::1"), port=9443, link_port=9000, database_mb=50,
    contact='Office "North" # 1', terms="First: a sentence.\nSecond.",
)  # fmt: skip


def init(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["init", "--federation", str(folder), *words])


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_the_settings_come_back_as_they_were(tmp_path: Path) -> None:
    assert found(tmp_path / "new" / "one", SETTINGS).settings == SETTINGS
    text = (tmp_path / "new" / "one" / "federation.yaml").read_text(encoding="utf-8")
    assert text.startswith("# A federation of LeukoFed")


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    federation = found(tmp_path / "one", SETTINGS)
    for path in (federation.path, *federation.path.iterdir()):
        if path.is_dir():
            assert path.stat().st_mode & 0o777 == 0o700, path
    keys = [*federation.path.rglob("*.key"), federation.signing_key]
    assert len(keys) == 4
    for path in (*keys, federation.path / "federation.yaml"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_the_command_tells_the_fingerprint_and_what_to_do_next(tmp_path: Path) -> None:
    result = init(tmp_path / "one", "--host", "leukofed.example.org", "--host", "192.0.2.1")
    assert result.exit_code == 0, result.output
    federation = Federation(tmp_path / "one")
    key = public_half(read_key(federation.signing_key))
    assert fingerprint(key) in result.output
    assert "leukofed.example.org:8443" in result.output
    assert f"leukofed-server start --federation {tmp_path / 'one'}" in result.output
    assert f"leukofed-server admit REQUEST --federation {tmp_path / 'one'}" in result.output


def test_what_a_terminal_would_obey_is_written_out(tmp_path: Path) -> None:
    text = "a\x1b[2Jb"
    result = init(tmp_path / "one", "--host", "localhost", "--contact", text, "--terms", text)
    assert result.exit_code == 0, result.output
    settings = Federation(tmp_path / "one").settings
    assert settings.contact == settings.terms == r"a\x1b[2Jb"


def test_a_federation_is_never_touched_by_another(tmp_path: Path) -> None:
    found(tmp_path, SETTINGS)
    before = snapshot(tmp_path)
    result = init(tmp_path, "--host", "other.example.org")
    assert result.exit_code == 1
    assert "holds a federation already" in result.output
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["signing.pem", "tls", "runs"])
def test_nothing_of_a_federation_may_lie_in_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    result = init(tmp_path, "--host", "localhost")
    assert result.exit_code == 1
    assert name in result.output
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_other_files_in_the_folder_stay_even_if_it_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    assert init(tmp_path, "--host", "no host").exit_code == 1
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]
    assert init(tmp_path, "--host", "localhost").exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "keep"


def test_a_folder_that_fails_is_taken_away_whole(tmp_path: Path) -> None:
    result = init(tmp_path / "one", "--host", "host:8443")
    assert result.exit_code == 1
    assert "without a port" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("--name", "Not A Name"), ("--port", "0"), ("--port", "66000")])
def test_wrong_settings_are_wrong_usage(words: tuple[str, str], tmp_path: Path) -> None:
    result = init(tmp_path / "one", "--host", "localhost", *words)
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_host_is_needed(tmp_path: Path) -> None:
    assert init(tmp_path / "one").exit_code == 2
