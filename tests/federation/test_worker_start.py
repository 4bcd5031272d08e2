"""What keeps a worker from starting: told as one problem with its remedy, without a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.relay import relay
from client.site_config import Cache, SiteConfig
from common.log_head import split_head
from common.wire import decode_reply
from common.yaml_file import dump_yaml
from tests.support.coordinator import STUDY, census, signed
from tests.support.processes import ENVIRONMENT
from tests.support.worker_process import WorkerSite

pytestmark = pytest.mark.slow
Change = Callable[[WorkerSite, Path], tuple[SiteConfig, Path]]
"""Return the site file of a second worker, and its socket; the folder is its own."""
_START = """\
import json
import sys
from click.testing import CliRunner
from client.cli.main import main
results = [CliRunner().invoke(main, words) for words in json.loads(sys.argv[1])]
bugs = [result.exception for result in results if not isinstance(result.exception, SystemExit)]
print(json.dumps([(result.exit_code, result.output) for result in results]))
sys.exit(f"{bugs}" if bugs else 0)
"""


def apart(site: WorkerSite, folder: Path, **changes: object) -> SiteConfig:
    """Return a site file that shares nothing with the site's own."""
    other = {"state": folder / "state", "cache": Cache(folder=folder / "cache")}
    return site.config.model_copy(update=other | changes)


def own(site: WorkerSite, folder: str, name: str = "worker.sock") -> Path:
    """Return a socket in a short folder of its own."""
    path = site.sockets / folder
    path.mkdir()
    return path / name


def a_file(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("kept")
    return folder / "file"


REFUSED: dict[str, tuple[Change, str]] = {
    "the same state": (
        lambda site, folder: (
            apart(site, folder, state=site.config.state), own(site, "a"),
        ),
        "another worker uses this site's state folder",
    ),
    "the same cache": (
        lambda site, folder: (
            apart(site, folder, cache=site.config.cache), own(site, "b"),
        ),
        "another process is using the activation cache",
    ),
    "the same socket": (
        lambda site, folder: (apart(site, folder), site.socket),
        "another process listens at this socket",
    ),
    "no key": (
        lambda site, folder: (apart(site, folder, coordinator=None), own(site, "c")),
        "the site file does not name the coordinator's key",
    ),
    "both sockets in one": (
        lambda site, folder: (apart(site, folder), own(site, "d", "desk.sock")),
        "the carrier's socket and the administrators' are the same",
    ),
    "something else at the socket": (
        lambda site, folder: (apart(site, folder), a_file(folder)),
        "where the socket should be lies something else",
    ),
    "no folder for the socket": (
        lambda site, folder: (apart(site, folder), folder / "absent" / "6.sock"),
        "the folder of the socket does not exist",
    ),
    "no socket can be made": (
        lambda site, folder: (apart(site, folder), Path("/proc/leukofed.sock")),
        "the worker cannot listen at its socket",
    ),
    "no state folder can be made": (
        lambda site, folder: (
            apart(site, folder, state=a_file(folder) / "state"), own(site, "e"),
        ),
        "the state folder cannot be written to",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerSite]:
    with WorkerSite(tmp_path_factory.mktemp("start") / "site") as site:
        site.approve(STUDY)
        yield site


@pytest.fixture(scope="module")
def told(site: WorkerSite) -> dict[str, tuple[int, str]]:
    """Start them one after the other in one process; return their exit codes and what they say."""
    commands = []
    for number, (change, _) in enumerate(REFUSED.values()):
        config, socket = change(site, site.folder / f"second-{number}")
        path = site.folder / f"second-{number}.yaml"
        path.write_text(dump_yaml(config), encoding="utf-8")
        words = ("worker", "--site-file", path, "--approved", site.approved, "--socket", socket)
        commands.append(list(map(str, words)))
    done = subprocess.run(
        [sys.executable, "-c", _START, json.dumps(commands)],
        env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return dict(zip(REFUSED, map(tuple, json.loads(done.stdout)), strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_told_in_plain_words(told: dict[str, tuple[int, str]], name: str) -> None:
    code, text = told[name]
    assert code == 1, text
    assert f"Error: {REFUSED[name][1]}" in text
    assert "To fix: " in text


def test_the_first_worker_never_notices(site: WorkerSite, told: dict[str, tuple[int, str]]) -> None:
    assert told
    assert site.worker.is_alive
    reply = relay(signed(census(STUDY), site.key), site.socket)
    assert decode_reply(split_head(reply)[1]).status == "done"
    sockets = {path for path in site.sockets.rglob("*") if not path.is_dir()}
    assert sockets == {site.socket, site.desk}
