"""`leukofed-site init`: what it asks, what it makes, and for whose eyes."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from client.cli.main import main
from client.enrolment import Choices, Owners, hand_over, make_site
from client.site_config import Cache, Limits, load_site_config
from client.site_folder import LinkSettings, SiteFolder
from common.errors import ConfigError
from common.kit import fingerprint, openssh, read_request

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files to other users")


def init(folder: Path, *words: object, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["init", "--site", str(folder), *map(str, words)], input=typed)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "smears"
    folder.mkdir()
    (folder / "manifest.csv").write_text("path,label\n")
    return folder


def made(folder: Path, data: Path) -> SiteFolder:
    result = init(folder, "--name", "north", "--data", data, "--contact", "IT", "--yes")
    assert result.exit_code == 0, result.output
    return SiteFolder(folder)


def test_with_flags_it_asks_nothing_and_the_site_file_can_be_read(
    tmp_path: Path, data: Path
) -> None:
    site = made(tmp_path / "north", data)
    config = load_site_config(site.site_file)
    assert (config.name, config.coordinator, config.numerics) == ("north", None, "auto")
    assert config.images.manifest == data / "manifest.csv"
    assert config.limits == Limits()
    assert (config.state, config.cache.folder, config.weights) == (
        site.path / "state",
        site.path / "cache",
        site.path / "weights",
    )
    assert site.link_settings == LinkSettings()
    assert 'weights: "weights"' in site.site_file.read_text(encoding="utf-8")


def test_flags_reach_the_site_file(tmp_path: Path, data: Path) -> None:
    result = init(
        tmp_path / "north", "--name", "north", "--data", data / "manifest.csv", "--yes",
        "--weights", tmp_path / "weights é", "--cache", tmp_path / "fast", "--cache-gb", 1.5,
        "--fewest-examples", 0, "--most-rounds", 7, "--most-runs", 2,
        "--largest-payload-mb", 30, "--most-mb-a-day", 250.5,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    config = load_site_config(tmp_path / "north" / "site.yaml")
    assert config.limits == Limits(
        fewest_examples=0, most_rounds=7, most_runs=2, largest_payload_mb=30, most_mb_a_day=250.5
    )
    assert config.weights == tmp_path / "weights é"
    assert (config.cache.folder, config.cache.limit_gb) == (tmp_path / "fast", 1.5)
    assert (tmp_path / "fast").is_dir()
    assert not (tmp_path / "north" / "cache").exists()


def test_what_is_typed_is_checked_at_once_and_asked_again(tmp_path: Path, data: Path) -> None:
    typed = f"Not a name\nnorth\n/no/such/place\n{data}\n\n\nmuch\n0\n5\n\n\n\n\nIT of North\n"
    result = init(tmp_path / "north", typed=typed)
    assert result.exit_code == 0, result.output
    for complaint in ("lower-case letters", "no such file or folder", "not a valid float", "x>0"):
        assert complaint in result.output
    assert load_site_config(tmp_path / "north" / "site.yaml").cache.limit_gb == 5
    assert read_request(tmp_path / "north" / "request.yaml").contact == "IT of North"


def test_the_request_asks_for_the_key_that_stays(tmp_path: Path, data: Path) -> None:
    site = made(tmp_path / "north", data)
    private = site.node_key.read_bytes()
    key = load_ssh_private_key(private, password=None)
    request = read_request(site.request)
    assert request.public_key == openssh(key.public_key())  # type: ignore[arg-type]
    assert request.site == "north"
    secret = private.splitlines()[1:-1]
    for file in site.path.rglob("*"):
        if file.is_file() and file != site.node_key:
            assert not any(line in file.read_bytes() for line in secret)


def test_the_command_tells_the_fingerprint_and_what_to_do_next(tmp_path: Path, data: Path) -> None:
    (data / "manifest.csv").unlink()
    result = init(tmp_path / "north", "--name", "north", "--data", data, "--yes")
    request = read_request(tmp_path / "north" / "request.yaml")
    assert fingerprint(request.public_key) in result.output
    assert f"1. leukofed-site manifest {data}" in result.output
    assert "4. When its kit comes: leukofed-site join KIT" in result.output


def test_modes_keep_others_out(tmp_path: Path, data: Path) -> None:
    site = made(tmp_path / "north", data)
    found = {
        str(path.relative_to(site.path)): oct(path.stat().st_mode & 0o777)
        for path in site.path.rglob("*")
    }
    assert found == {
        "site.yaml": "0o600", "request.yaml": "0o644", "state": "0o700", "cache": "0o700",
        "weights": "0o700", "approved": "0o700", "run": "0o750", "logs": "0o700",
        "link": "0o700", "link/node.key": "0o600", "link/link.yaml": "0o600",
        "link/flower": "0o700",
    }  # fmt: skip
    assert site.path.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_use_stays_open_to_them(tmp_path: Path, data: Path) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    (place / "theirs").touch()
    place.chmod(0o755)
    site = made(place, data)
    assert place.stat().st_mode & 0o777 == 0o755
    for secret in (site.link, site.path / "state", site.path / "approved"):
        assert secret.stat().st_mode & 0o777 == 0o700


def test_a_site_is_never_touched_by_another(tmp_path: Path, data: Path) -> None:
    site = made(tmp_path / "north", data)
    before = {path: path.read_bytes() for path in site.path.rglob("*") if path.is_file()}
    result = init(site.path, "--name", "south", "--data", data, "--yes")
    assert result.exit_code == 1
    assert "holds a site already" in result.output
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    "words",
    [
        ("--yes",),
        ("--name", "Not A Name", "--data", ".", "--yes"),
        ("--name", "north", "--data", "/no/such/place", "--yes"),
        ("--name", "north", "--data", ".", "--cache-gb", "0", "--yes"),
        ("--name", "north", "--data", ".", "--worker-user", "root", "--yes"),
    ],
)
def test_wrong_usage_makes_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    assert init(tmp_path / "north", *words).exit_code == 2
    assert not (tmp_path / "north").exists()


@as_root
@pytest.mark.parametrize(
    ("worker", "carrier", "problem"),
    [
        ("12001:12000", "no-such-user", "no user `no-such-user`"),
        ("root", "12002:12000", "root is no user for this"),
        ("12001:12000", "12001:12000", "the same user"),
        ("12001:12000", "12002:12002", "12002:12002 is not in 12000, the first group of"),
    ],
)
def test_users_that_cannot_work_together_are_refused(
    worker: str, carrier: str, problem: str, tmp_path: Path, data: Path
) -> None:
    words = ("--worker-user", worker, "--carrier-user", carrier, "--yes")
    result = init(tmp_path / "north", "--name", "north", "--data", data, *words)
    assert result.exit_code == 1
    assert problem in result.output
    assert not (tmp_path / "north").exists()


@as_root
def test_a_folder_with_other_files_is_not_handed_over(tmp_path: Path, data: Path) -> None:
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "letter").touch()
    choices = Choices("north", data, data, Cache(folder=tmp_path / "cache"), Limits(), "")
    with pytest.raises(ConfigError, match="not empty"):
        make_site(tmp_path / "north", choices, Owners(WORKER, GROUP, CARRIER))
    assert [file.name for file in (tmp_path / "north").iterdir()] == ["letter"]
    assert (tmp_path / "north").stat().st_uid == 0


WORKER, CARRIER, GROUP = 12001, 12002, 12000


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that any user may enter, as pytest's own may not."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@as_root
def test_the_carrier_reads_its_own_files_and_the_kit_and_no_more(
    open_place: Path, data: Path
) -> None:
    site = made(open_place / "north", data)
    site.kit.write_text("a kit")
    site.authority.write_text("a certificate")
    (site.path / "state" / "egress.jsonl").write_text("what left")
    hand_over(site, Owners(WORKER, GROUP, CARRIER), [])

    def can(user: int, *words: str, group: int = GROUP) -> bool:
        command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *words]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    files = (
        site.node_key, site.link / "link.yaml", site.kit, site.authority,
        site.site_file, site.path / "state" / "egress.jsonl",
    )  # fmt: skip
    seen = {
        file.name: tuple(can(user, "cat", str(file)) for user in (CARRIER, WORKER))
        for file in files
    }
    assert seen == {
        "node.key": (True, False), "link.yaml": (True, False), "kit.yaml": (True, True),
        "ca.crt": (True, True), "site.yaml": (False, True), "egress.jsonl": (False, True),
    }  # fmt: skip
    for folder in ("state", "cache", "weights", "approved", "logs"):
        assert not can(CARRIER, "ls", str(site.path / folder)), folder
    assert can(CARRIER, "ls", str(site.path / "run"))
    assert not can(CARRIER, "touch", str(site.path / "run" / "own.sock"))
    assert not can(CARRIER, "touch", str(site.path / "own"))
    assert not can(12003, "cat", str(site.kit), group=12003)
