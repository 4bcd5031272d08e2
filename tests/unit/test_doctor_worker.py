"""Checks of a worker that really runs, as a process of its own where walls can be built."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.doctor.worker import guard_line, listener, wall_line, worker_line
from client.site_folder import SiteFolder
from tests.support.processes import Process, wait_until
from tests.support.walls import can_wall
from tests.support.workers import Gate, Worker

_LISTENS = """
import socket, sys, time
with socket.socket(socket.AF_UNIX) as one:
    one.bind(sys.argv[1])
    one.listen()
    time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[SiteFolder]:
    """Yield a site's folder with a short path."""
    made = Path(tempfile.mkdtemp(prefix="lkd-"))
    (made / "run").mkdir()
    yield SiteFolder(made)
    shutil.rmtree(made)


def test_a_worker_that_answers(folder: SiteFolder) -> None:
    with Worker(Gate()) as worker:
        worker.desk.rename(folder.desk)
        line = worker_line(folder)
        assert (line.verdict, "idle" in line.text) == ("ok", True)
        assert listener(folder.desk) == os.getpid()


def test_a_worker_that_does_not_run(folder: SiteFolder) -> None:
    assert worker_line(folder).verdict == "warning"
    assert wall_line(folder) is None
    with Worker(Gate()) as worker:
        worker.desk.rename(folder.desk)
    assert folder.desk.exists()
    assert worker_line(folder).verdict == "problem", "a socket that a killed worker left behind"
    assert wall_line(folder) is None


@pytest.mark.parametrize("is_walled", [False, True])
def test_whether_the_worker_has_a_way_out(
    folder: SiteFolder, tmp_path: Path, is_walled: bool
) -> None:
    if is_walled and not can_wall():
        pytest.skip("only root can take a process's network away")
    wall = ["unshare", "--net"] if is_walled else []
    process = Process([*wall, "python", "-c", _LISTENS, folder.desk], tmp_path / "log")
    process.start()
    try:
        wait_until(lambda: listener(folder.desk), 30.0, "the process", every_s=0.02)
        line = wall_line(folder)
        assert line is not None
        if is_walled:
            assert (line.verdict, "in a network of its own" in line.text) == ("ok", True)
        elif line.verdict == "warning":
            assert "there is no wall" in line.text
        else:
            assert "on a machine without a network" in line.text
    finally:
        process.close()


def test_a_process_that_the_system_does_not_tell_of(folder: SiteFolder, tmp_path: Path) -> None:
    with Worker(Gate()) as worker:
        worker.desk.rename(folder.desk)
        line = wall_line(folder, tmp_path)
    assert line is not None
    assert (line.verdict, "could not be seen" in line.text) == ("warning", True)


def test_the_import_guard_is_told_of() -> None:
    line = guard_line()
    assert line.check == "import guard"
    assert (line.verdict == "ok") == (not line.fix)
