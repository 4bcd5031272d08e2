"""The systemd units: well formed, hardened, and calling commands that exist."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from client.cli.main import main as site_command
from server.cli.main import main as server_command

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))
COMMANDS = {"leukofed-site": site_command, "leukofed-server": server_command}
EXPOSURE = {"worker": 10, "carrier": 20, "coordinator": 20}  # of 100, as systemd weighs it
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze (Debian: systemd) is missing"
)


def settings(unit: Path, key: str) -> list[str]:
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


@pytest.fixture(params=UNITS, ids=lambda unit: unit.stem)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a unit whose commands are those of this environment."""
    found: Path = request.param
    text = found.read_text(encoding="utf-8").replace("/opt/leukofed/bin", str(_BIN))
    copy = tmp_path / found.name
    copy.write_text(text, encoding="utf-8")
    return copy


_BIN = Path(sys.executable).parent


def test_all_three_are_there() -> None:
    assert [unit.stem for unit in UNITS] == [
        "leukofed-carrier", "leukofed-coordinator", "leukofed-worker",
    ]  # fmt: skip


def test_its_command_exists_with_these_options(unit: Path) -> None:
    (line,) = settings(unit, "ExecStart")
    program, name, *words = shlex.split(line)
    group = COMMANDS[Path(program).name]
    command = group.get_command(click.Context(group), name)
    assert command is not None
    command.make_context(name, words)


def test_the_worker_has_no_network_and_the_carrier_no_records() -> None:
    worker, carrier = UNITS[2], UNITS[0]
    assert settings(worker, "PrivateNetwork") == ["yes"]
    assert "AF_INET" not in settings(worker, "RestrictAddressFamilies")[0].split()
    hidden = settings(carrier, "InaccessiblePaths")[0].split()
    assert {f"-/var/lib/leukofed/{part}" for part in ("state", "cache", "site.yaml")} <= set(hidden)
    assert settings(worker, "User") != settings(carrier, "User")
    assert settings(worker, "Group") == settings(carrier, "Group")


@needs_systemd
def test_systemd_finds_nothing_wrong(unit: Path) -> None:
    _analyze("verify", unit)


@needs_systemd
def test_it_is_hardened(unit: Path) -> None:
    most = EXPOSURE[unit.stem.removeprefix("leukofed-")]
    _analyze("security", "--offline=true", f"--threshold={most}", "--no-pager", unit)


@pytest.mark.skipif(
    shutil.which("systemd-sysusers") is None, reason="systemd-sysusers (Debian: systemd) is missing"
)
def test_the_users_can_be_made(tmp_path: Path) -> None:
    """Where there are none yet: on a machine of its own, so to say."""
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", f"--root={tmp_path}", "-"],
        input=UNITS[0].with_name("leukofed.sysusers").read_text(encoding="utf-8"),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    for user in ("worker", "carrier", "coordinator"):
        assert f"Creating user 'leukofed-{user}'" in done.stderr


def _analyze(*words: object) -> None:
    done = subprocess.run(
        ["systemd-analyze", *map(str, words)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    if words[0] == "verify":
        assert done.stdout + done.stderr == ""
