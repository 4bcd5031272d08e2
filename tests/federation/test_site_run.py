"""`leukofed-site run` as a hospital starts it: both processes, their wall, health, a clean stop."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.health import ask_health
from tests.support.keys import site_node_key
from tests.support.processes import BIN, ENVIRONMENT, Process, children, free_port, wait_until
from tests.support.small_federation import open_folder
from tests.support.super_link import SuperLink
from tests.support.walls import (
    CARRIER_USER,
    GROUP,
    WORKER_USER,
    can_wall,
    hand_over,
    has_way_out,
    wall,
)
from tests.support.worker_process import WorkerSite

pytestmark = pytest.mark.slow


class Hospital:
    """A site's folder with images and a key that was admitted.

    Args:
        folder: short, since sockets lie in it; other users may enter it.
        link: the coordinator's SuperLink.
    """

    def __init__(self, folder: Path, link: SuperLink) -> None:
        self.folder = folder / "site"
        self.health_port = free_port()
        self.worker = WorkerSite(self.folder)
        (self.folder / "link").mkdir()
        (self.folder / "ca.crt").write_bytes(link.ca.read_bytes())
        site_node_key(self.folder / "link" / "node.key")
        link.register(self.folder / "link" / "node.pub")
        lines = {"address": link.address, "health_port": self.health_port}
        (self.folder / "link" / "link.yaml").write_text(json.dumps(lines), encoding="utf-8")
        (self.folder / "images").chmod(0o700)
        before, users = [], []
        if can_wall():
            before = wall(0, folder / "stage", [self.folder], network=True)
            users = ["--worker-user", f"{WORKER_USER}:{GROUP}",
                     "--carrier-user", f"{CARRIER_USER}:{GROUP}"]  # fmt: skip
            hand_over(self.folder, WORKER_USER, 0o750)
            hand_over(self.folder / "link", CARRIER_USER, 0o700)
        self.run = Process(
            [*before, BIN / "leukofed-site", "run", "--site", self.folder, "--logs",
             folder / "logs", *users],
            folder / "run.out",
            {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def close(self) -> None:
        """End everything."""
        self.run.close()
        self.worker.close()


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    coordinator = tmp_path / "coordinator"
    coordinator.mkdir()
    with open_folder() as folder, SuperLink(coordinator, coordinator / "keys") as link:
        hospital = Hospital(folder, link)
        try:
            yield hospital
        finally:
            hospital.close()


def test_a_site_runs_and_stops(hospital: Hospital) -> None:
    hospital.run.start()
    port = hospital.health_port
    wait_until(lambda: (ask_health(port) or {}).get("well"), 90, "the site's health")
    worker, node = (
        children(hospital.run.pid, word)[0] for word in ("leukofed-site worker", "client.supernode")
    )
    shown = status(hospital.folder)
    assert shown.startswith("idle, up for ")
    assert "link: well" in shown
    if can_wall():
        assert [Path(f"/proc/{pid}").stat().st_uid for pid in (worker, node)] == [
            WORKER_USER, CARRIER_USER,
        ]  # fmt: skip
        assert not has_way_out(worker)
        assert "there is no wall" not in hospital.run.text()
    else:
        assert "there is no wall between worker and SuperNode" in hospital.run.text()
    group = children(hospital.run.pid, "")
    assert hospital.run.stop(60) == 0
    assert [pid for pid in group if Path(f"/proc/{pid}/exe").exists()] == []
    assert hospital.run.text().count("stopped") == 2
    assert "listening at" in (hospital.folder.parent / "logs" / "worker.log").read_text()
    assert ask_health(port) is None


@pytest.mark.skipif(not can_wall(), reason="only root can build the walls of two services")
def test_two_services_keep_one_each(hospital: Hospital) -> None:
    """As the systemd units start them: each by its own user, with no flag but the site's folder."""
    folder = hospital.folder
    (folder / "run").mkdir()
    hand_over(folder / "run", WORKER_USER, 0o750)
    stage = folder.parent
    users = {"worker": WORKER_USER, "carrier": CARRIER_USER}
    before = {
        name: wall(user, stage / f"{name}-stage", [folder], network=name == "carrier")
        for name, user in users.items()
    }
    site = [BIN / "leukofed-site"]
    quiet = {"OMP_NUM_THREADS": "1"}
    worker = Process(
        [*before["worker"], *site, "worker", "--site", folder], stage / "worker.out", quiet
    )
    carrier = Process(
        [*before["carrier"], *site, "run", "--only", "carrier", "--site", folder],
        stage / "carrier.out", quiet,
    )  # fmt: skip
    try:
        worker.start()
        carrier.start()
        port = hospital.health_port
        wait_until(lambda: (ask_health(port) or {}).get("well"), 90, "the site's health")
        assert carrier.stop(60) == 0
    finally:
        carrier.close()
        worker.close()
    logs = {path.name: path.stat().st_uid for path in (folder / "link" / "logs").iterdir()}
    assert logs == {"run.log": CARRIER_USER, "supernode.log": CARRIER_USER}
    assert "Traceback" not in carrier.text()
    assert "no wall" not in carrier.text()


def status(folder: Path) -> str:
    """Return what `leukofed-site status` shows."""
    command = [str(BIN / "leukofed-site"), "status", "--site", str(folder)]
    done = subprocess.run(
        command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=True
    )
    return str(done.stdout)
