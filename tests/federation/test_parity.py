"""A federation of real processes, with TLS and walls, computes what the simulation computes."""

import os
import subprocess
from collections.abc import Sequence

import pytest

from common.log_head import heads_told
from tests.support.federation import Federation
from tests.support.hospital import Site
from tests.support.processes import BIN
from tests.support.small_federation import digests, federation, in_process, open_folder
from tests.support.walls import has_way_out

pytestmark = pytest.mark.slow


def test_a_federation_ends_with_the_bits_of_the_simulation() -> None:
    with open_folder() as folder:
        alone = in_process(folder)
        with federation(folder) as running:
            if running.walls:
                for site in running.sites.values():
                    the_worker_has_no_network(site)
                    the_carrier_sees_the_socket_and_nothing_else(site, running)
            assert running.wait(running.launch(), 500) == "finished:completed"
            every_site_answered_everything(running)
            for site in running.sites.values():
                its_log_is_the_one_that_the_coordinator_was_told_of(site, running)
        assert digests(running.run.path) == digests(alone)
    if not running.walls:
        pytest.skip("the bits are the same; walls between the processes need root, on Linux")


def the_worker_has_no_network(site: Site) -> None:
    assert not has_way_out(site.worker.pid)
    assert "there is no wall" not in site.worker.text()


def the_carrier_sees_the_socket_and_nothing_else(site: Site, running: Federation) -> None:
    virtual, run = running.prepared.virtual, running.run.path
    image = next(iter(virtual.images.rglob("*.png")))
    assert image.stat().st_mode & 0o004  # only the wall keeps it from others
    site.state.mkdir(exist_ok=True)
    files = (
        image, virtual.manifest, running.home / "signing.pem", site.folder / "site.yaml",
        run / "study.yaml", *(other.link / "node.key" for other in others(site, running)),
    )  # fmt: skip
    for file in files:
        assert file.is_file()
        assert as_carrier(site, ["cat", str(file)]) != 0, file
        assert as_carrier(site, ["cat", os.path.relpath(file, site.link)]) != 0, file
    folders = (virtual.images, virtual.cache.folder, site.state, site.folder)
    for folder in folders:
        assert folder.is_dir()
        assert as_carrier(site, ["ls", str(folder)]) != 0, folder
    assert as_carrier(site, ["cat", str(site.link / "node.key")]) == 0
    assert as_carrier(site, ["test", "-w", str(site.socket)]) == 0
    assert as_carrier(site, ["test", "-w", str(site.desk)]) != 0
    assert as_carrier(site, ["test", "-w", str(site.socket.parent)]) != 0


def others(site: Site, running: Federation) -> list[Site]:
    return [other for other in running.sites.values() if other is not site]


def as_carrier(site: Site, command: Sequence[str]) -> int:
    """Run a command in the very view that the site's SuperNode has; return its exit code."""
    words = [*site.carrier_wall, *command]
    return subprocess.run(words, cwd=site.link, capture_output=True, check=False).returncode


def every_site_answered_everything(running: Federation) -> None:
    exchanges = [event for event in running.record() if event["event"] == "exchange"]
    assert len(exchanges) == 14
    for event in exchanges:
        assert event["accepted"] == list(running.study.sites), event


def its_log_is_the_one_that_the_coordinator_was_told_of(site: Site, running: Federation) -> None:
    assert len(list(heads_told(running.record(), site.name))) == 14
    command = [BIN / "leukofed-site", "log", "--site-file", site.folder / "site.yaml", "--verify",
               "--record", running.run.path / "record.jsonl"]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "intact" in done.stdout
