"""The wall between worker and SuperNode: who may become whom, and where root may write."""

import os
import pwd
import subprocess
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.cli.main import main
from client.walls import (
    User,
    as_user,
    check_can_run,
    check_only_roots,
    check_walls,
    found_user,
    make_room,
)
from common.errors import ConfigError
from tests.support.walls import can_wall

OTHER = User(12001, 12000)
needs_root = pytest.mark.skipif(not can_wall(), reason="only root, on Linux, can build walls")


def test_a_user_is_named_or_numbered() -> None:
    entry = next(one for one in pwd.getpwall() if one.pw_uid)
    assert found_user(entry.pw_name) == User(entry.pw_uid, entry.pw_gid)
    assert found_user("12001:12000") == OTHER


@pytest.mark.parametrize("text", ["no-such-user-here", "1:x", "root", "0:0"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        found_user(text)


@needs_root
def test_a_walled_process_is_another_user_without_network_and_rights() -> None:
    check_walls()
    status = "grep -E 'CapBnd|NoNewPrivs' /proc/self/status"
    shown = f"id -u; id -g; id -G; cat /proc/self/net/route; {status}"
    done = subprocess.run(
        [*as_user(OTHER, group=OTHER.group, network=False), "sh", "-c", shown],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    lines = done.stdout.split("\n")
    assert lines[:3] == ["12001", "12000", "12000"]
    assert [line for line in lines[3:] if line and not line.startswith("Iface")] == [
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ]


@needs_root
def test_an_installation_in_a_closed_folder_is_told_of() -> None:
    with tempfile.TemporaryDirectory() as name:  # which another user may be let into
        folder = Path(name)
        folder.chmod(0o755)
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        python = closed / "python"
        python.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
        python.chmod(0o755)
        before = as_user(OTHER, group=OTHER.group, network=True)
        with pytest.raises(ConfigError, match="the user other cannot run this installation"):
            check_can_run(before, "the user other", str(python))
        closed.chmod(0o755)
        check_can_run(before, "the user other", str(python))


@needs_root
def test_root_writes_logs_where_only_root_can_change_the_folder(tmp_path: Path) -> None:
    own = tmp_path / "var"
    own.mkdir(mode=0o755)
    check_only_roots(own / "logs")
    theirs = tmp_path / "site"
    make_room(theirs, OTHER)
    assert (theirs.stat().st_uid, theirs.stat().st_mode & 0o777) == (OTHER.number, 0o750)
    (own / "link").symlink_to(own)
    (own / "open").mkdir()
    (own / "open").chmod(0o777)
    for place in (theirs / "logs", own / "link", own / "open" / "logs"):
        with pytest.raises(ConfigError, match="another user than root"):
            check_only_roots(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_only_root_builds_walls() -> None:
    with pytest.raises(ConfigError, match="only root"):
        check_walls()


def test_both_users_are_needed(tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "link.yaml").write_text("address: example.org:8443\n")
    words = ["run", "--site", str(tmp_path), "--worker-user", "12001:12000"]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, "give both" in done.output) == (2, True)


def test_a_folder_without_a_site(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["run", "--site", str(tmp_path)])
    assert (done.exit_code, "this folder holds no site" in done.output) == (1, True)
