"""The life of a real worker process: started, watched, approved for, stopped, killed, and back."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.egress.log import EgressLog
from client.relay import relay
from common.asks import CensusTold
from common.log_head import split_head
from common.troubles import Trouble, Unanswered
from common.wire import decode_reply
from common.worker_pb2 import Outlook
from tests.support.carrier_grid import CarrierGrid
from tests.support.coordinator import (
    LAUNCH,
    STUDY,
    Coordinator,
    census,
    fit,
    moments,
    signed,
    worker_study,
)
from tests.support.processes import BIN, ENVIRONMENT
from tests.support.walls import has_way_out
from tests.support.worker_process import IMAGES, NAME, Aside, WorkerSite, trains

pytestmark = pytest.mark.slow
ENDLESS = worker_study("endless", head_epochs=10**7)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerSite]:
    with WorkerSite(tmp_path_factory.mktemp("worker") / "site") as site:
        site.approve(STUDY)
        site.approve(ENDLESS, "endless.yaml")
        yield site


def status(site: WorkerSite, *words: str) -> str:
    command = [BIN / "leukofed-site", "status", "--desk", site.desk, *words]
    done = subprocess.run(
        list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    return done.stdout


def cached(site: WorkerSite) -> int:
    """Count the records of the cache."""
    keys = site.config.cache.folder.glob("*/keys.txt")
    return sum(len(path.read_text().splitlines()) for path in keys)


def test_it_has_no_network(site: WorkerSite) -> None:
    if not site.has_wall:
        pytest.skip("only root can take the network away from a process")
    assert not has_way_out(site.worker.pid)
    assert "there is no wall" not in site.log()


def test_it_answers_the_census(site: WorkerSite, tmp_path: Path) -> None:
    coordinator = Coordinator(tmp_path, CarrierGrid({NAME: site.socket}), STUDY, site.key, run="c")
    reply = coordinator.ask(census(STUDY, "c"))
    assert reply is not None
    assert reply.told is not None
    told = reply.told.model_dump()
    assert sum(sum(counts.values()) for counts in told["examples"].values()) == IMAGES
    assert set(told["weights"]) == {b.architecture for b in STUDY.network.backbones}


def test_it_answers_a_rehearsal_from_generated_images(site: WorkerSite, tmp_path: Path) -> None:
    log, apart = site.config.state / "egress.jsonl", site.config.state / "rehearsal"
    before = log.read_bytes() if log.exists() else b""
    grid = CarrierGrid({NAME: site.socket})
    coordinator = Coordinator(tmp_path, grid, STUDY, site.key, run="c")  # as the run's before
    coordinator.rounds.rehearsal = True
    reply = coordinator.ask(census(STUDY, "c"))
    assert reply is not None
    assert isinstance(reply.told, CensusTold)
    assert reply.told.examples["train"] == dict.fromkeys(STUDY.labels.classes, 8)
    assert (log.read_bytes() if log.exists() else b"") == before
    assert len(list(EgressLog(apart / "egress.jsonl"))) == 1


def test_what_one_run_computed_is_there_for_the_next(site: WorkerSite, tmp_path: Path) -> None:
    grid = CarrierGrid({NAME: site.socket})
    replies, records = [], []
    for run in ("first", "second"):
        coordinator = Coordinator(tmp_path / run, grid, STUDY, site.key, run=run)
        replies.append(coordinator.ask(moments(STUDY, run)))
        records.append(cached(site))
    assert records[0] >= IMAGES
    assert records[1] == records[0]
    first, second = replies
    assert first is not None
    assert second is not None
    assert {name: a.tobytes() for name, a in first.arrays.items()} == {
        name: a.tobytes() for name, a in second.arrays.items()
    }


def test_its_status_is_told_at_its_desk(site: WorkerSite) -> None:
    site.wait_for(lambda outlook: outlook.activity == Outlook.IDLE, "rest")
    assert "idle, up for" in status(site)
    idle = json.loads(status(site, "--json"))
    assert (idle["activity"], idle["approved"]) == ("IDLE", "2")

    request = fit(ENDLESS, 1, "status")
    message = signed(request, site.key)
    work = Aside(lambda: relay(message, site.socket))
    site.wait_for(trains, "work")
    shown = status(site)
    assert "working, up for" in shown
    assert f"study {ENDLESS.digest[:12]}: backbones, round 1" in shown
    assert "last progress" in shown
    working = json.loads(status(site, "--json"))
    assert (working["activity"], working["phase"], working["round"]) == ("WORKING", "BACKBONES", 1)
    assert int(working["resident_bytes"]) > 10**8

    # What is not newer finds the site busy; what is newer takes the place.
    with pytest.raises(Unanswered) as busy:
        relay(signed(census(STUDY, "other"), site.key), site.socket, away_s=0.1)
    assert busy.value.trouble is Trouble.BUSY
    newer = signed(census(STUDY, "newer"), site.key, LAUNCH + 1)
    assert decode_reply(split_head(relay(newer, site.socket))[1]).status == "done"
    with pytest.raises(Unanswered) as superseded:
        work.outcome()
    assert superseded.value.trouble is Trouble.SUPERSEDED
    assert not [line for line in site.passages() if line.run == "status"]


def test_approving_and_withdrawing_take_effect_at_once(site: WorkerSite, tmp_path: Path) -> None:
    study = worker_study("later")
    grid = CarrierGrid({NAME: site.socket})
    coordinator = Coordinator(tmp_path, grid, study, site.key, run="later")
    assert coordinator.ask(census(study, "later")) is None
    path = site.approve(study, "later.yaml")
    assert site.outlook().approved == 3
    assert coordinator.ask(census(study, "later")) is not None
    path.unlink()
    assert site.outlook().approved == 2
    assert coordinator.ask(fit(study, 1, "later")) is None
    assert ["not approved" in loss["problem"] for loss in coordinator.losses()] == [True, True]


def test_nothing_is_released_for_a_study_that_was_withdrawn_meanwhile(site: WorkerSite) -> None:
    study = worker_study("withdrawn", head_epochs=4000)
    path = site.approve(study, "withdrawn.yaml")
    message = signed(fit(study, 1, "withdrawn"), site.key)
    work = Aside(lambda: relay(message, site.socket))
    site.wait_for(trains, "work")
    path.unlink()
    reply = decode_reply(split_head(work.outcome())[1])
    assert reply.status == "refused"
    assert "not approved" in reply.problem
    assert not [line for line in site.released() if line[0] == "withdrawn"]


def test_a_withdrawal_by_command_ends_the_work_within_seconds_and_both_ends_are_told(
    site: WorkerSite, tmp_path: Path
) -> None:
    study = worker_study("ended", head_epochs=10**7)
    site.approve(study, "ended.yaml")
    grid = CarrierGrid({NAME: site.socket})
    coordinator = Coordinator(tmp_path, grid, study, site.key, run="ended")
    asking = threading.Thread(target=coordinator.ask, args=(fit(study, 1, "ended"),))
    asking.start()
    site.wait_for(trains, "work")

    command = [BIN / "leukofed-site", "withdraw", "ended", "--site", site.folder,
               "--desk", site.desk]  # fmt: skip
    done = subprocess.run(
        list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert f"Withdrawn: study ended, digest {study.digest[:12]}." in done.stdout
    found = re.search(r"The worker stopped its work on it within (\d+) s", done.stdout)
    assert found is not None
    assert int(found[1]) <= 10

    asking.join(60)
    assert not asking.is_alive()
    (loss,) = coordinator.losses()
    assert loss["event"] == "refused"
    assert "is not approved at this site any more: it was withdrawn" in loss["problem"]
    (line,) = [line for line in site.passages("refused") if line.run == "ended"]
    assert line.problem == loss["problem"]
    assert not [line for line in site.released() if line[0] == "ended"]
    assert site.outlook().activity == Outlook.IDLE
