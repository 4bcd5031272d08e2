"""A federation of real processes, with TLS and walls, computes what the simulation computes."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.log_head import heads_told
from tests.support.federation import Federation, Site
from tests.support.processes import BIN
from tests.support.small_federation import digests, federation, in_process, open_folder
from tests.support.walls import CARRIER_USER, GROUP

pytestmark = pytest.mark.slow


def test_a_federation_ends_with_the_bits_of_the_simulation() -> None:
    with open_folder() as folder:
        alone = in_process(folder)
        with federation(folder, {}) as running:
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
    lines = Path(f"/proc/{site.worker.pid}/net/dev").read_text(encoding="ascii").splitlines()
    assert [line.split(":")[0].strip() for line in lines[2:]] == ["lo"]
    assert "there is no wall" not in site.worker.text()


def the_carrier_sees_the_socket_and_nothing_else(site: Site, running: Federation) -> None:
    image = next(iter(Path(running.prepared.virtual.images).rglob("*.png")))
    site.state.mkdir(exist_ok=True)
    secrets = (image, site.state, site.folder / "site.yaml", running.home / "signing.pem")
    for secret in secrets:
        assert as_carrier(["ls" if secret.is_dir() else "cat", str(secret)]) != 0, secret
    other = next(other for other in running.sites.values() if other is not site)
    assert as_carrier(["cat", str(other.folder / "site.yaml")]) != 0
    assert as_carrier(["cat", str(site.link / "node.key")]) == 0
    assert as_carrier(["test", "-w", str(site.socket)]) == 0
    assert as_carrier(["test", "-w", str(site.desk)]) != 0


def as_carrier(command: Sequence[str]) -> int:
    user = ["setpriv", f"--reuid={CARRIER_USER}", f"--regid={GROUP}", "--clear-groups"]
    return subprocess.run([*user, *command], capture_output=True, check=False).returncode


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
