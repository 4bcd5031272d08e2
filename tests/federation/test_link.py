"""Links of sites to a real SuperLink: deaths that nobody is told of are found and mended."""

import datetime as dt
import logging
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from client.link import Link, Patience
from client.node import UNKNOWN_KEY, carriers
from client.site_folder import SiteFolder
from tests.support.keys import site_node_key, write_certificates, write_server_certificate
from tests.support.linked_site import Front, LinkedSite, ask
from tests.support.processes import children, command_line, free_port, wait_until
from tests.support.super_link import SuperLink

pytestmark = pytest.mark.slow
_SILENT = Patience(silent_s=10.0)
_STALLED = Patience(stalled_s=4.0)


def test_silent_deaths_are_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three sites at once, since each waits for the minute that Flower's lease lasts.

    One meets an expired certificate at a reconnect and lives on, offline; one's SuperNode is
    killed; one's ClientApp hangs, which would block every later message.
    """
    caplog.set_level(logging.INFO, "leukofed")
    with ExitStack() as ends:
        coordinator = tmp_path / "coordinator"
        coordinator.mkdir()
        link = ends.enter_context(SuperLink(coordinator, coordinator / "keys"))
        front = ends.enter_context(Front(link.port))
        own = link.address
        silenced, killed, hung = (
            ends.enter_context(LinkedSite(tmp_path / name, link, address, patience))
            for name, address, patience in (
                ("a", front.address, _SILENT),
                ("b", own, _STALLED),
                ("c", own, _STALLED),
            )
        )
        sites = (silenced, killed, hung)
        wait_until(lambda: all(site.is_heard() for site in sites), 90, "the sites")
        assert link.online() == 3

        ask(link, hung.node, tmp_path / "first", words="work")  # for a worker that is not there
        (pid,) = waited(lambda: [p for p in started(hung) if hung.site.pulse.exists()])
        os.kill(pid, signal.SIGSTOP)
        since = time.monotonic()
        expired = tmp_path / "expired"
        shutil.copytree(link.keys, expired)
        write_server_certificate(expired, -0.01)
        front.use(expired)
        os.kill(node(killed), signal.SIGKILL)
        wait_until(lambda: "SSL/TLS handshake error" in silenced.log(), 60, "the error of TLS")
        front.use(None)
        silent = time.monotonic()

        seconds = {}
        wait_until(lambda: command_line(pid) == "", 60, "the end of the hung ClientApp")
        seconds["hung: killed"] = time.monotonic() - since
        ask(link, hung.node, tmp_path / "second")
        waiting: dict[str, Callable[[], object]] = {
            "silenced: restarted": lambda: silenced.health()["node_starts"] > 1,
            "silenced: online": lambda: silenced.health()["node_starts"] > 1 and settled(silenced),
            "killed: online": lambda: settled(killed),
            "hung: next run": (tmp_path / "second").exists,
        }
        while waiting:
            for name in [name for name, is_so in waiting.items() if is_so()]:
                del waiting[name]
                seconds[name] = time.monotonic() - (silent if "silenced" in name else since)
            assert time.monotonic() - since < 150, (waiting, seconds, caplog.text)
            time.sleep(0.3)
        assert link.online() == 3
        link.flwr("supernode", "unregister", hung.node, "own")
        since = time.monotonic()
        wait_until(lambda: UNKNOWN_KEY in hung.health()["words"], 60, "the end of a revoked site")
        seconds["revoked: told"] = time.monotonic() - since
    with capsys.disabled():
        print(", ".join(f"{name} {spent:.0f} s" for name, spent in seconds.items()))
    assert (tmp_path / "second").read_text() == "2 not-a-request"
    assert "it lives, but has not called the coordinator for" in caplog.text
    assert "its ClientApp has given no sign of life for" in caplog.text
    assert "may count as connected for up to 60 s; it is started again in 10 s" in caplog.text
    assert not children(os.getpid(), "flower-")


def test_outside_its_hours_a_site_takes_no_message(tmp_path: Path) -> None:
    """Where the coordinator is away, too; the SuperNode runs only while the hours last."""
    folder = SiteFolder(tmp_path)
    folder.link.mkdir()
    write_certificates(tmp_path / "keys")
    folder.authority.write_bytes((tmp_path / "keys" / "ca.crt").read_bytes())
    site_node_key(folder.node_key)
    (folder.link / "link.yaml").write_text(
        f"address: 127.0.0.1:{free_port()}\nhours: 19:00-07:00\nhealth_port: {free_port()}\n"
    )
    now = [dt.datetime(2026, 3, 2, 18, 59)]
    link = Link(folder, folder.logs, (), lambda: True, Patience(idle_s=0.0), clock=lambda: now[0])
    link.start()
    try:
        link.watch()
        assert (link.health().words, link.health().node_runs) == ("closed until 19:00", False)
        for day in (2, 3):
            now[0] = dt.datetime(2026, 3, day, 19, 0)
            link.watch()
            wait_until(lambda: link.health().node_runs, 10, "the SuperNode")
            assert link.health().words == "nothing was heard from the coordinator yet"
            now[0] = dt.datetime(2026, 3, day + 1, 7, 0)
            link.watch()
            assert (link.health().words, link.health().node_runs) == ("closed until 19:00", False)
            assert link.health().reason == ""
    finally:
        link.close()
    assert not children(os.getpid(), "flower-")


def started(site: LinkedSite) -> list[int]:
    """List the ClientApps at work in a site."""
    return [carrier.pid for carrier in carriers(node(site))]


def settled(site: LinkedSite) -> bool:
    """Whether the SuperNode that was started last was taken in."""
    last = site.log().rpartition("Starting Flower SuperNode")[2]
    return site.is_heard() and re.search("SuperNode ID: ", last) is not None


def node(site: LinkedSite) -> int:
    """Return the number of a site's SuperNode; its supervisor is this process."""
    words = str(site.site.node_key.resolve())
    return waited(lambda: children(os.getpid(), words))[0]


def waited(find: Callable[[], list[int]]) -> list[int]:
    found: list[int] = []

    def is_there() -> bool:
        found[:] = find()
        return bool(found)

    wait_until(is_there, 60, "a process", every_s=0.02)
    return found
