"""Who may read what: by mode bits, and as root by really being another user."""

import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.data.pseudonyms import site_key
from client.doctor import permissions
from client.doctor.permissions import User, may, owner, really_reads
from client.site_config import Cache, Images, SiteConfig
from client.site_folder import SiteFolder
from tests.support.processes import ROOT
from tests.support.walls import CARRIER_USER, GROUP, WORKER_USER
from tests.support.workers import Gate, Worker

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files to other users")
CARRIER = User(CARRIER_USER, frozenset({GROUP}), "carrier")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Yield a folder that every user may enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="lkp-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def _list_with(user: int) -> bytes:
    """Return a list of permissions, as Linux keeps it, that lets one more user read."""
    owner, named, group, mask, other = 0x01, 0x02, 0x04, 0x10, 0x20
    nobody = 0xFFFFFFFF
    entries = ((owner, 6, nobody), (named, 4, user), (group, 0, nobody), (mask, 4, nobody),
               (other, 0, nobody))  # fmt: skip
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def hospital(place: Path) -> tuple[SiteFolder, SiteConfig, Path]:
    """Make a site of two users, and an image, as the systemd units have it."""
    folder = SiteFolder(place / "site")
    image = place / "data" / "a.png"
    state, cache, run = (folder.path / name for name in ("state", "cache", "run"))
    for path in (image.parent, state, cache, run, folder.link):
        path.mkdir(parents=True)
    for file in (image, image.parent / "manifest.csv", state / "egress.jsonl", folder.node_key):
        file.write_text("x", encoding="ascii")
    config = SiteConfig(
        name="north",
        images=Images(manifest=image.parent / "manifest.csv"),
        state=state,
        cache=Cache(folder=cache),
    )
    for path in (place / "data", folder.path, *place.rglob("*")):
        os.chown(path, WORKER_USER, GROUP)
        path.chmod(0o700 if path.is_dir() else 0o600)
    for path in (folder.path, run):
        path.chmod(0o710)
    for path in (folder.link, folder.node_key):
        os.chown(path, CARRIER_USER, GROUP)
    return folder, config, image


@as_root
def test_two_users_with_a_wall_between_them(open_folder: Path) -> None:
    folder, config, image = hospital(open_folder)
    lines = permissions.permission_lines(folder, config, [image])
    assert {line.check: line.verdict for line in lines} == dict.fromkeys(
        ("carrier", "key", "folders", "sockets"), "ok"
    )
    assert "tried as that user" in lines[0].text
    assert permissions.worker_line(folder, [image]).verdict == "ok"


@as_root
@pytest.mark.parametrize(
    ("what", "mode"), [("images", 0o644), ("images", 0o640), ("state", 0o640), ("manifest", 0o644)]
)
def test_what_the_carrier_can_read_is_named(open_folder: Path, what: str, mode: int) -> None:
    folder, config, image = hospital(open_folder)
    file = {
        "images": image, "state": config.state / "egress.jsonl", "manifest": config.images.manifest,
    }[what]  # fmt: skip
    file.chmod(mode)
    assert permissions.carrier_line(folder, config, [image]).verdict == "ok", "its folder is closed"
    file.parent.chmod(0o711)
    line = permissions.carrier_line(folder, config, [image])
    assert (line.verdict, what in line.text) == ("problem", True)
    assert str(file) in line.text
    assert f"chmod o-rwx {file.parent}" in line.fix


@as_root
def test_the_key_of_the_pseudonyms_is_not_the_carriers(open_folder: Path) -> None:
    folder, config, image = hospital(open_folder)
    (folder.path / "site.yaml").touch()
    site_key(folder)
    assert owner(folder.pseudonym_key).uid == WORKER_USER, "made by root, it is the worker's"
    assert permissions.carrier_line(folder, config, [image]).verdict == "ok"
    folder.pseudonym_key.chmod(0o644)
    line = permissions.carrier_line(folder, config, [image])
    assert (line.verdict, "the key of the pseudonyms" in line.text) == ("problem", True)


@as_root
def test_the_mode_bits_agree_with_what_the_kernel_allows(open_folder: Path) -> None:
    stranger = User(CARRIER_USER, frozenset({GROUP + 7}), "stranger")
    files = []
    for number, (uid, gid, of_folder, of_file) in enumerate(
        (uid, gid, of_folder, of_file)
        for uid in (CARRIER_USER, WORKER_USER)
        for gid in (GROUP, GROUP + 1)
        for of_folder in (0o700, 0o710, 0o701, 0o755)
        for of_file in (0o600, 0o640, 0o604, 0o044)
    ):
        folder = open_folder / f"{number} of 'several'"
        folder.mkdir()
        file = folder / "a file"
        file.touch()
        for path, mode in ((folder, of_folder), (file, of_file)):
            os.chown(path, uid, gid)
            path.chmod(mode)
        files.append(file)
    for user in (CARRIER, stranger):
        judged = [file for file in files if may(user, file)]
        assert judged == really_reads(user, files)
        assert 0 < len(judged) < len(files)


@as_root
def test_rights_that_mode_bits_do_not_tell_are_found_by_trying(open_folder: Path) -> None:
    folder, config, image = hospital(open_folder)
    image.parent.chmod(0o711)
    os.chown(image, WORKER_USER, GROUP + 7)
    try:
        os.setxattr(image, "system.posix_acl_access", _list_with(CARRIER_USER))
    except OSError:
        pytest.skip("this file system keeps no lists of further permissions")
    assert not may(CARRIER, image)
    assert permissions.carrier_line(folder, config, [image]).verdict == "problem"


@as_root
def test_the_worker_has_to_read_the_images(open_folder: Path) -> None:
    folder, _, image = hospital(open_folder)
    os.chown(image, CARRIER_USER, GROUP + 7)
    line = permissions.worker_line(folder, [image])
    assert (line.verdict, "1 of 1" in line.text) == ("problem", True)


def test_one_user_for_both_is_a_warning(tmp_path: Path) -> None:
    folder = SiteFolder(tmp_path)
    folder.link.mkdir()
    config = SiteConfig(
        name="north", images=Images(manifest=tmp_path / "m.csv"), state=tmp_path / "state",
        cache=Cache(folder=tmp_path / "cache"),
    )  # fmt: skip
    line = permissions.carrier_line(folder, config, [])
    assert (line.verdict, "no wall" in line.text) == ("warning", True)


def test_a_key_is_its_owners_alone(tmp_path: Path) -> None:
    folder = SiteFolder(tmp_path)
    folder.link.mkdir()
    assert permissions.key_line(folder).verdict == "problem"
    folder.node_key.touch(0o600)
    assert permissions.key_line(folder).verdict == "ok"
    for mode in (0o640, 0o604, 0o666):
        folder.node_key.chmod(mode)
        line = permissions.key_line(folder)
        assert (line.verdict, f"mode 0{mode:o}" in line.text) == ("problem", True)
        assert line.fix.startswith(f"chmod 600 {folder.node_key}")


@as_root
def test_a_key_belongs_to_the_carrier(tmp_path: Path) -> None:
    folder = SiteFolder(tmp_path)
    folder.link.mkdir()
    folder.node_key.touch(0o600)
    os.chown(folder.link, CARRIER_USER, GROUP)
    assert "does not belong to the carrier's user" in permissions.key_line(folder).text


def test_folders_are_closed_to_other_users(tmp_path: Path) -> None:
    folder = SiteFolder(tmp_path)
    config = SiteConfig(
        name="north", images=Images(manifest=tmp_path / "m.csv"), state=tmp_path / "state",
        cache=Cache(folder=tmp_path / "cache"),
    )  # fmt: skip
    for path in (folder.link, config.state, config.cache.folder):
        path.mkdir(mode=0o700)
    assert permissions.state_line(folder, config).verdict == "ok"
    config.state.chmod(0o755)
    line = permissions.state_line(folder, config)
    assert (line.verdict, line.fix) == ("warning", f"chmod o-rwx {config.state}")


def sockets_of(place: Path, carrier: str, desk: str) -> SiteFolder:
    folder = SiteFolder(place)
    (place / "run").mkdir()
    folder.link.mkdir()
    Path(carrier).rename(folder.socket)
    Path(desk).rename(folder.desk)
    return folder


def test_sockets_are_open_to_those_who_need_them(open_folder: Path) -> None:
    with Worker(Gate()) as worker:
        folder = sockets_of(open_folder, str(worker.socket), str(worker.desk))
        folder.socket.chmod(0o660)
        folder.desk.chmod(0o600)
        assert permissions.sockets_line(folder).verdict == "ok"
        for path, mode in ((folder.socket, 0o666), (folder.desk, 0o660)):
            before = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode)
            line = permissions.sockets_line(folder)
            assert (line.verdict, path.name in line.text) == ("problem", True)
            path.chmod(before)
        if os.geteuid() == 0:
            os.chown(folder.link, CARRIER_USER, GROUP)
            line = permissions.sockets_line(folder)
            assert "cannot reach the worker's socket" in line.text
            os.chown(folder.socket, 0, GROUP)
            assert permissions.sockets_line(folder).verdict == "ok"


def test_an_owner_without_an_account_has_the_folders_group(tmp_path: Path) -> None:
    assert owner(tmp_path).uid == os.geteuid()
    if os.geteuid() == 0:
        os.chown(tmp_path, CARRIER_USER, GROUP)
        assert owner(tmp_path) == User(CARRIER_USER, frozenset({GROUP}), str(CARRIER_USER))


_AS_WORKER = """
import datetime, os, sys
from pathlib import Path
from client.doctor import coordinator, permissions
from client.site_config import Cache, Images, SiteConfig
from client.site_folder import SiteFolder
place, user, group = Path(sys.argv[1]), *map(int, sys.argv[2:])
os.setgroups([])
os.setresgid(group, group, group)
os.setresuid(user, user, user)
folder = SiteFolder(place / "site")
config = SiteConfig(
    name="north", images=Images(manifest=place / "data/manifest.csv"),
    state=folder.path / "state", cache=Cache(folder=folder.path / "cache"),
)
lines = permissions.permission_lines(folder, config, [place / "data/a.png"])
lines += coordinator.network_lines(folder, datetime.datetime.now(datetime.UTC))
for line in lines:
    print(line.check, line.verdict, line.text, sep="|")
"""


@as_root
def test_the_workers_user_checks_what_it_can_see(open_folder: Path) -> None:
    folder, _, _ = hospital(open_folder)
    (folder.link / "link.yaml").write_text("address: localhost:9\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _AS_WORKER, str(open_folder), str(WORKER_USER), str(GROUP)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    told = [line.split("|") for line in done.stdout.splitlines()]
    assert {check: verdict for check, verdict, _ in told} == {
        "carrier": "ok", "key": "ok", "folders": "ok", "sockets": "ok", "address": "warning",
    }  # fmt: skip
    texts = {check: text for check, _, text in told}
    assert "tried" not in texts["carrier"]
    assert "cannot see it, as it should be" in texts["key"]
    assert "may not read the carrier's link.yaml" in texts["address"]
