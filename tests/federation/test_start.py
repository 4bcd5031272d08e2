"""`leukofed-server start`: front and SuperLink as real processes, seen from inside and outside."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.certificates import Issued, issue
from server.cli.main import main
from server.control import flower_environment
from server.front import PATHS, admitted_keys, front_process
from server.health import front_answers
from server.left_behind import descendants
from server.link_database import size_bytes
from server.services import Services
from server.services_file import read_services
from server.sites import admitted_sites, nodes
from tests.support.coordinator_folder import write_entry, write_folder
from tests.support.keys import site_node_key
from tests.support.operated import enter
from tests.support.outside import HERE, Outside, can_go_outside
from tests.support.processes import (
    BIN,
    ROOT,
    Process,
    children,
    command_line,
    resident_bytes,
    wait_until,
)
from tests.support.served import Running, admitted, is_online, served
from tests.support.strangers import ALL_PATHS, FUZZ

HAS_NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is not None
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HAS_NGINX, reason="nginx is not installed"),
]
needs_outside = pytest.mark.skipif(
    not can_go_outside(), reason="making a network namespace and a cable to it takes root"
)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside | None]:
    if not can_go_outside():
        yield None
        return
    with Outside(tmp_path_factory.mktemp("outside")) as found:
        yield found


@pytest.fixture(scope="module")
def running(outside: Outside | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    hosts = ("127.0.0.1", "localhost") if outside is None else (HERE, "127.0.0.1")
    with served(tmp_path_factory.mktemp("coordinator") / "federation", *hosts) as found:
        yield found


@pytest.fixture(scope="module")
def node(
    running: Running, outside: Outside | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """An admitted site's SuperNode, on the other machine if there is one."""
    with admitted(running, tmp_path_factory.mktemp("north"), outside) as found:
        yield found


def test_it_says_what_runs_since_when(running: Running) -> None:
    now = running.now
    assert (now.front.answers, now.link.answers, now.troubles) == (True, True, [])
    assert now.front.pid == front_process(running.federation)
    assert command_line(running.link).count("flower-superlink")
    text = running.start.text()
    assert f"sites reach this federation at {running.federation.settings.address}" in text
    assert running.federation.front.stat().st_mode & 0o777 == 0o700


def test_status_and_sites_tell_of_it(
    running: Running, node: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(running.federation.path.parent)
    words = ["--json", "--federation", running.federation.path.name]
    status = CliRunner().invoke(main, ["status", *words])
    told = json.loads(status.stdout)
    assert (status.exit_code, told["superlink"], told["attention"]) == (0, "answers", [])
    assert told["services"]["pid"] == running.start.pid
    assert told["services"]["front"]["answers"] is True
    (site,) = json.loads(CliRunner().invoke(main, ["sites", *words]).stdout)
    assert site["name"] == "north"
    assert site["state"] != "unknown"  # the SuperLink was asked


def test_a_federation_is_served_once(running: Running) -> None:
    done = subprocess.run(
        [str(BIN / "leukofed-server"), "start", "--federation", str(running.federation.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "another `leukofed-server start` serves this federation" in done.stderr


@needs_outside
def test_from_outside_nobody_reaches_more_than_a_node_calls(
    running: Running, outside: Outside, node: Process
) -> None:
    settings = running.federation.settings
    base = f"https://{settings.address}"
    ca = running.federation.authority
    (key,) = admitted_keys(running.federation)
    found = json.loads(outside.python(ALL_PATHS, base, ca, key))
    assert found.pop("/health") == 200
    passed = {path for path, status in found.items() if status != 403}
    assert passed == set(PATHS)  # and the SuperLink asks these for a signature:
    assert {found[path] for path in passed} == {401}
    for word in ("list-runs", "start-run", "stop-run", "unregister-node", "register-node"):
        assert found[f"/v1/control/{word}"] == 403
    assert found["/v1/runtime/acquire-task"] == 403
    # The same request is answered where no front stands before it.
    inside = json.loads(
        subprocess.run(
            [BIN / "python", "-c", ALL_PATHS.replace("TYPES.items()", "TYPES.items() "
             "if path == '/v1/control/list-runs'"), f"https://127.0.0.1:{settings.link_port}",
             str(ca), key],
            capture_output=True, text=True, check=True,
        ).stdout
    )  # fmt: skip
    assert inside["/v1/control/list-runs"] == 200
    refused = outside.python(
        "import socket, sys\n"
        "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)\n"
        "except OSError as error: print(type(error).__name__)",
        HERE, settings.link_port,
    )  # fmt: skip
    assert refused.strip() == "ConnectionRefusedError"


@needs_outside
def test_flowers_own_command_is_refused_from_outside(
    running: Running, outside: Outside, tmp_path: Path
) -> None:
    federation = running.federation
    text = (federation.flower_home / "config.toml").read_text(encoding="utf-8")
    inside = f"127.0.0.1:{federation.settings.link_port}"
    assert inside in text
    (tmp_path / "config.toml").write_text(
        text.replace(inside, federation.settings.address), encoding="utf-8"
    )
    for words in (["list", "own"], ["stop", "1", "own"]):
        done = subprocess.run(
            [*outside.wall(), str(BIN / "flwr"), *words, "--format", "json"],
            env=flower_environment(tmp_path), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert '"success": true' not in done.stdout
        assert done.returncode or '"success": false' in done.stdout
    assert running.refusals["403"] >= 2


@needs_outside
def test_nonsense_large_and_slow_requests_end_at_the_front(
    running: Running, outside: Outside, node: Process
) -> None:
    settings = running.federation.settings
    before = resident_bytes(running.link), running.link_log, running.refusals
    found = json.loads(
        outside.python(
            FUZZ, HERE, settings.port, running.federation.authority, ",".join(PATHS)
        )
    )  # fmt: skip
    print(f"answers: {found}; the front's: {running.refusals - before[2]}")
    assert set(found) <= {"401", "413", "400", "closed", "meanwhile 200",
                          "slow ones closed within"}  # fmt: skip
    assert found["401"] >= 600
    assert found["413"] == 2
    assert found["slow ones closed within"] < 20
    assert running.link_log == before[1]
    assert resident_bytes(running.link) < before[0] + 5_000_000
    assert (running.refusals - before[2])["401"] >= 600
    assert is_online(running.federation)


def test_a_renewed_certificate_drops_no_node(running: Running, node: Process) -> None:
    federation, link = running.federation, running.link
    wait_until(
        lambda: "SuperExec" in node.text(), 30, "the last of what the node says at its start"
    )
    told = node.text()
    count = running.start.text().count("front reloaded")
    # The front's alone: with a new one of its own the SuperLink would be started anew.
    root = Issued(
        federation.authority.read_bytes(), federation.authority.with_suffix(".key").read_bytes()
    )
    issue(root, federation.settings.hosts).write(federation.front_certificate)
    wait_until(lambda: running.start.text().count("front reloaded") > count, 20, "the reload")
    wait_until(lambda: front_answers(federation), 20, "the front")
    time.sleep(4)  # one of the node's calls, every three seconds
    assert node.is_alive
    assert node.text() == told  # not even a reconnect
    assert is_online(federation)
    assert running.link == link


def test_a_database_that_has_grown_is_made_smaller(running: Running, node: Process) -> None:
    federation = running.federation
    with closing(sqlite3.connect(federation.database, timeout=10)) as base, base:
        row = ("0" * 64, b"x" * 12_000_000, 1, 1)
        base.execute(
            "INSERT INTO objects (object_id, content, is_available, ref_count) VALUES (?, ?, ?, ?)",
            row,
        )
    assert size_bytes(federation.database) > 12_000_000
    wait_until(lambda: "database made smaller" in running.start.text(), 30, "a smaller database")
    assert size_bytes(federation.database) < 2_000_000
    assert is_online(federation)


def test_a_revoked_site_is_refused_by_the_front(running: Running, node: Process) -> None:
    key = site_node_key(node.log.parent / "node.key")
    begun = time.monotonic()
    write_entry(running.federation, "north", key, revoked=True)
    wait_until(lambda: not node.is_alive, 30, "the node's end")
    print(f"cut off after {time.monotonic() - begun:.1f} s")
    assert "terminated gracefully" in node.text()


def test_a_stop_leaves_nothing_behind(running: Running) -> None:
    federation = running.federation
    number = front_process(federation)
    assert number is not None
    os.kill(number, signal.SIGKILL)
    wait_until(lambda: front_process(federation) not in (None, number), 30, "another one")
    wait_until(lambda: front_answers(federation), 30, "another front")
    left = [running.start.pid, *descendants(running.start.pid)]
    words = [command_line(pid) for pid in left]
    assert any("flower-superexec" in word for word in words)
    begun = time.monotonic()
    assert running.start.stop(60) == 0
    print(f"stopped after {time.monotonic() - begun:.1f} s")
    assert [pid for pid in left if command_line(pid)] == []
    assert read_services(federation) is None


def test_a_superlink_without_its_executor_is_started_anew(tmp_path: Path) -> None:
    federation = write_folder(tmp_path / "federation")
    enter(federation, "north", site_node_key(tmp_path / "node.key"), 17)  # of a lost database
    services, stopping = Services(federation, look_every_s=0.5, settling_s=3.0), threading.Event()
    thread = threading.Thread(target=services.run, args=[stopping])
    thread.start()
    try:
        wait_until(lambda: front_answers(federation), 60, "the front")
        wait_until(lambda: admitted_sites(federation)["north"].node_id != 17, 30, "the site")
        assert set(nodes(federation)) == {admitted_sites(federation)["north"].node_id}
        first = services.link.pid
        assert first is not None
        wait_until(lambda: children(first, "flower-superexec"), 30, "the SuperExec")
        (executor,) = children(first, "flower-superexec")
        wait_until(lambda: services.link.running_s > 3, 30, "that it has settled")
        os.kill(executor, signal.SIGKILL)
        begun = time.monotonic()
        wait_until(lambda: services.link.pid not in (first, None), 60, "another SuperLink")
        wait_until(lambda: front_answers(federation), 60, "the front")
        print(f"back after {time.monotonic() - begun:.1f} s")
        now = read_services(federation)
        assert now is None or "SuperExec has died" in now.last_trouble
    finally:
        stopping.set()
        thread.join()
