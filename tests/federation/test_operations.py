"""The coordinator's commands around a run, with a real SuperLink, ServerApp and SuperNodes.

The sites have no worker, so that no reply comes: a run is at its census for as long as it is
wanted there. What the sites would answer comes from the same study's run in one process.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from client.sockets import SOCKET_VARIABLE
from common.signing import new_key, write_key
from server.cli.main import main
from server.control import SUPERLINK, flwr
from server.federation import Federation
from server.health import link_answers
from server.progress import PlainProgress
from server.run_folder import RunFolder
from server.sites import nodes
from tests.support.keys import site_node_key, write_certificates
from tests.support.operated import coordinator_folder, enter
from tests.support.processes import BIN, Process, children, free_port, wait_until
from tests.support.small_scenario import SITES, run_small, write_scenario

pytestmark = pytest.mark.slow
CONNECTED = SITES[:2]


@dataclass(frozen=True)
class Trial:
    """A coordinator's folder, its SuperLink, and the run whose checkpoints stand in for work."""

    federation: Federation
    link: Process
    done: RunFolder

    def command(self, *words: str) -> Result:
        """Run a command of the coordinator's."""
        folder = str(self.federation.path)
        return CliRunner().invoke(main, [*words, "--federation", folder])

    def process(self, *words: str) -> Process:
        """Return a command as a process of its own, whose Ctrl-C is a terminal's."""
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from server.cli.main import main; main()"
        )
        command = [BIN / "python", "-c", code, *words, "--federation", self.federation.path]
        return Process(command, self.federation.path / f"{words[0]}.log")

    def told(self, *words: str) -> Any:
        """Run a command with --json; return what it told."""
        return json.loads(self.command(*words, "--json").stdout)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    home = tmp_path_factory.mktemp("operations")
    with PlainProgress(Console(stderr=True)) as watch:
        done = run_small(write_scenario(home), home / "single", watch)
    keys = home / "keys"
    write_certificates(keys, days=60)
    port, folder = free_port(), home / "federation"
    signing = home / "signing.pem"
    write_key(signing, new_key())
    federation = coordinator_folder(folder, port, signing, keys / "ca.crt", done.path)
    link = Process(
        [BIN / "flower-superlink", "--host", "127.0.0.1", "--port", port,
         "--ssl-ca-certfile", keys / "ca.crt", "--ssl-certfile", keys / "server.crt",
         "--ssl-keyfile", keys / "server.key", "--enable-supernode-auth",
         "--disable-runtime-dependency-installation", "--database", federation.database],
        home / "superlink.log",
        {"FLWR_HOME": str(federation.flower_home)},
    )  # fmt: skip
    running = [link]
    try:
        link.start()
        wait_until(lambda: link_answers(federation), 60.0, "the SuperLink's health")
        for site in SITES:
            (home / site).mkdir()
            public = site_node_key(home / site / "node.key")
            number = 1  # of nobody
            if site in CONNECTED:
                told = flwr(federation, "supernode", "register", home / site / "node.pub",
                            SUPERLINK, "--name", site)  # fmt: skip
                number = int(told["node-id"])
                running.append(_node(home / site, port, keys / "ca.crt").start())
            enter(federation, site, public, number)
        wait_until(
            lambda: sum(n["status"] == "online" for n in nodes(federation).values()) == 2,
            60.0, "the sites' nodes", every_s=1.0,
        )  # fmt: skip
        yield Trial(federation, link, done)
    finally:
        for process in reversed(running):
            process.close()


def _node(folder: Path, port: int, authority: Path) -> Process:
    return Process(
        [BIN / "flower-supernode", "--superlink", f"127.0.0.1:{port}",
         "--root-certificates", authority, "--auth-supernode-private-key", folder / "node.key",
         "--port", free_port],
        folder / "node.log",
        {"FLWR_HOME": str(folder / "home"), SOCKET_VARIABLE: str(folder / "absent.sock")},
    )  # fmt: skip


def test_a_run_is_launched_followed_killed_stopped_resumed_and_finished(trial: Trial) -> None:
    launch = trial.process("launch", "trial", "--yes").start()
    run = trial.federation.runs / "trial-1"

    def asked() -> bool:
        here = json.loads((run / "now.json").read_bytes()) if (run / "now.json").exists() else {}
        return len(here.get("sites", {})) == 2

    wait_until(asked, 60.0, "the census")
    looked = trial.command("status", "--json")
    status = json.loads(looked.stdout)
    assert looked.exit_code == 1
    assert status["attention"] == ["west is not connected"]
    assert (status["run"]["state"], status["run"]["phase"]) == ("running", "census")
    assert {name: (site["status"], site["node"]) for name, site in status["run"]["sites"].items()} \
        == {"north": ("asked", "online"), "south": ("asked", "online"),
            "west": ("waiting", "not registered")}  # fmt: skip
    for words in ([], ["--rehearse"]):
        assert "one thing at a time" in trial.command("launch", "trial", "--yes", *words).output
    os.kill(launch.pid, signal.SIGINT)  # Ctrl-C
    wait_until(lambda: not launch.is_alive, 20, "the view's end")
    assert launch.stop() == 0
    assert "Missing: west; the quorum is 2" in launch.text()
    assert "The run goes on" in launch.text()
    assert [row["state"] for row in trial.told("runs")] == ["running"]

    (pid,) = children(trial.link.pid, "flwr-serverapp")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: trial.told("runs")[0]["state"] == "stopped", 10.0, "the ServerApp's end")
    looked = trial.command("status", "--json")
    assert looked.exit_code == 1
    assert "without a word" in json.loads(looked.stdout)["run"]["why"]

    assert trial.command("resume", "--detach").exit_code == 0
    assert trial.told("runs")[0]["state"] == "running"
    stopped = trial.command("stop", "trial-1", "--yes")
    assert "trial-1 has stopped" in stopped.output
    assert trial.told("runs")[0]["why"].endswith(" stopped it")

    shutil.copytree(trial.done.path / "checkpoints", run / "checkpoints", dirs_exist_ok=True)
    resumed = trial.command("resume", "trial-1")
    assert resumed.exit_code == 0, resumed.output
    assert "trial-1: finished" in resumed.output
    assert str(run / "report.html") in resumed.output.replace("\n", "")
    (row,) = trial.told("runs")
    assert row["state"] == "finished"
    assert row["macro_f1"] is not None
    assert "has finished" in trial.command("resume", "trial-1").output
    assert "census, round 1 of 1" in trial.command("logs").output
    assert "flwr-serverapp" in trial.command("logs", "--flower").output
    sums = [(path / "release" / "booster.ubj").read_bytes() for path in (run, trial.done.path)]
    assert sums[0] == sums[1]
