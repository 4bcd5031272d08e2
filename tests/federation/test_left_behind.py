"""Whatever ends a federation early, no process of it is left behind."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process, wait_until
from tests.support.small_federation import federation, open_folder
from tests.support.small_scenario import write_scenario
from tests.support.worker_process import WorkerSite

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    if not Path("/proc/self/environ").exists():
        pytest.skip("processes are found by /proc, which is Linux's")
    with open_folder() as folder:
        yield folder
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)


def processes_of(folder: Path) -> list[int]:
    """List the processes whose command line or environment names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            facts = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in facts and int(path.name) != os.getpid():
            found.append(int(path.name))
    return found


def test_sigterm_ends_all_of_it(folder: Path) -> None:
    scenario = write_scenario(folder)
    command = [sys.executable, "-m", "tests.support.run_federation", scenario,
               "--out", folder / "runs"]  # fmt: skip
    process = Process(command, folder / "log").start()

    def is_online() -> bool:
        if not process.is_alive:
            raise RuntimeError(process.text())
        return "All sites are online" in process.text()

    wait_until(is_online, 200.0, "a federation")
    assert len(processes_of(folder)) >= 8  # itself, a SuperLink, three workers, three SuperNodes
    os.kill(process.pid, signal.SIGTERM)
    wait_until(lambda: not process.is_alive, 120.0, "its end")
    assert "nothing that was finished is lost" in process.text()
    assert processes_of(folder) == []


def test_a_start_that_fails_ends_what_was_started(folder: Path) -> None:
    running = federation(folder)
    site = running.sites["north"]
    site.folder.mkdir(parents=True)
    site.state.touch()  # where a folder should be
    with pytest.raises(RuntimeError, match="the worker of north has ended"), running:
        pytest.fail("it was started")
    assert not site.socket.parent.parent.exists()
    assert processes_of(folder) == []


def test_so_does_a_worker_that_cannot_start(tmp_path: Path) -> None:
    site = WorkerSite(tmp_path / "site")
    site.approved.rmdir()
    with pytest.raises(RuntimeError, match="the worker has ended"), site:
        pytest.fail("it was started")
    assert not site.sockets.exists()
