"""Whole runs of real processes, each with one fault: what the record tells, and the final model.

Each prints the seconds that it lost against a run without a fault. They take minutes each, so only
`make faults` runs them; what takes seconds of the same is in test_strangers.py, test_full_disk.py
and test_refusals.py.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.support.federation import Federation
from tests.support.hospital import Site, let_in_again
from tests.support.keys import write_server_certificate
from tests.support.planted_worker import plant
from tests.support.processes import wait_until
from tests.support.relay import Line
from tests.support.small_disk import can_mount, small_disk
from tests.support.small_federation import digests, federation, in_process, open_folder
from tests.support.small_scenario import PHASES, SITES

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SLOW = {"head_epochs": 3000}  # the round of heads takes seconds
QUICK = {"grace_s": 5.0}
"""Sites that are away are waited for no longer than that."""
TRAINED = {("backbones", 1), ("backbones", 2), ("fusion", 1), ("fusion", 2)}
_LONG = 900.0


@dataclass(frozen=True)
class Baseline:
    """A run without a fault."""

    digests: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    with open_folder() as folder, federation(folder, None, **SLOW) as running:
        began = time.monotonic()
        assert running.wait(running.launch(), _LONG) == "finished:completed"
        return Baseline(digests(running.run.path), time.monotonic() - began)


class Watched:
    """A federation with a fault, and when its run was launched."""

    def __init__(self, running: Federation, baseline: Baseline, what: str) -> None:
        self.running, self._baseline, self._what = running, baseline, what
        self._began = time.monotonic()
        self.flower_run = running.launch()

    def launch_again(self) -> None:
        self.flower_run = self.running.launch()

    def ends(self, how: str = "finished:completed") -> None:
        assert self.running.wait(self.flower_run, _LONG) == how, self.running.log(self.flower_run)

    def completes(self) -> None:
        """Wait until it has, and tell what the fault cost."""
        self.ends()
        spent = time.monotonic() - self._began
        lost = spent - self._baseline.seconds
        print(f"\n{self._what}: {lost:.0f} s lost ({spent:.0f} s in all)")
        assert (self.running.run.path / "release.zip").is_file()
        assert (self.running.run.path / "release" / "SHA256SUMS").is_file()

    def reaches(self, phase: str, number: int, exchange: int = 0) -> None:
        """Wait until an exchange is over."""
        at = (phase, number, exchange)
        wait_until(lambda: at in map(where, self.exchanges()), _LONG, f"{at}", every_s=0.05)

    def exchanges(self) -> list[dict[str, Any]]:
        return [event for event in self.running.record() if event["event"] == "exchange"]

    def told(self, event: str, site: str) -> list[dict[str, Any]]:
        """Return what the record tells of a site under a word."""
        return [
            found
            for found in self.running.record()
            if found["event"] == event and found.get("site") == site
        ]

    def taken_part(self, site: str) -> list[bool]:
        """Return, exchange by exchange, whether a site's reply was taken."""
        return [site in event["accepted"] for event in self.exchanges()]


def where(event: dict[str, Any]) -> tuple[str, int, int]:
    return event["phase"], event["round"], event["exchange"]


@contextmanager
def faulty(
    what: str, baseline: Baseline, settings: dict[str, Any] | None = None
) -> Iterator[Watched]:
    with open_folder() as folder, federation(folder, settings, **SLOW) as running:
        yield Watched(running, baseline, what)


def end(site: Site) -> None:
    """Let a hospital vanish: nothing of it runs any more, and nobody says goodbye."""
    for process in (site.node, site.worker):
        process.kill()
    for process in (site.node, site.worker):
        process.close()  # carriers that were left behind


# --- the network ---


@pytest.mark.parametrize("seconds", [10, 60])
@pytest.mark.parametrize("cut", [("north",), SITES], ids=["one", "all"])
def test_a_network_that_comes_back_costs_time_and_nothing_else(
    baseline: Baseline, cut: tuple[str, ...], seconds: int
) -> None:
    what = f"network of {len(cut)} of 3 sites cut for {seconds} s"
    with faulty(what, baseline, {"line": Line()}) as fault:
        fault.reaches("backbones", 0)
        time.sleep(3.0)  # in the midst of a round
        for name in cut:
            fault.running.relays[name].cut()
        time.sleep(seconds)
        for name in cut:
            fault.running.relays[name].mend()
        fault.completes()
        assert all(map(all, map(fault.taken_part, SITES)))
        assert digests(fault.running.run.path) == baseline.digests


def test_a_line_that_refuses_for_a_minute_does_not_either(baseline: Baseline) -> None:
    with faulty("front refuses for 60 s", baseline, {"line": Line()}) as fault:
        fault.reaches("fusion", 0)
        for relay in fault.running.relays.values():
            relay.refuse()
        time.sleep(60.0)
        for relay in fault.running.relays.values():
            relay.mend()
        fault.completes()
        assert all(map(all, map(fault.taken_part, SITES)))
        assert digests(fault.running.run.path) == baseline.digests


# --- sites that are slow, or gone ---


def test_a_site_that_is_too_slow_is_left_behind_and_takes_part_again(baseline: Baseline) -> None:
    patience = {"deadline_hours": 60 / 3600, **QUICK}
    with faulty("west stopped for longer than the deadline of 60 s", baseline, patience) as fault:
        fault.reaches("backbones", 0)
        worker = fault.running.sites["west"].worker
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            fault.reaches("backbones", 1)
            (loss,) = fault.told("missing", "west")
            assert (loss["phase"], loss["round"]) == ("backbones", 1)
            assert loss["problem"].startswith("no reply within")
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        fault.completes()
        took_part = fault.taken_part("west")
        assert not all(took_part)
        assert took_part[-1], "it did not come back"
        (late,) = fault.told("late", "west")
        assert (late["phase"], late["round"]) == ("backbones", 1)
        assert all(map(all, map(fault.taken_part, ("north", "south"))))
        assert digests(fault.running.run.path) != baseline.digests


_BEFORE = {
    "census": None,
    "backbones": ("census", 1, 0),
    "fusion": ("backbones", 2, 0),
    "booster": ("booster", 1, 0),
    "calibration": ("booster", 2, 1),
    "evaluation": ("calibration", 1, 0),
}
"""After which exchange a site vanishes, so that it is missing in a phase first."""


@pytest.mark.parametrize("phase", PHASES)
def test_a_site_that_is_gone_for_good_leaves_the_run_to_the_others(
    baseline: Baseline, phase: str
) -> None:
    with open_folder() as folder, federation(folder, QUICK, **SLOW) as running:
        if (last := _BEFORE[phase]) is None:
            end(running.sites["west"])
        fault = Watched(running, baseline, f"west gone for good in the {phase}")
        if last is not None:
            fault.reaches(*last)
            end(running.sites["west"])
        fault.completes()
        first = next(e for e in fault.exchanges() if "west" not in e["accepted"])
        assert first["phase"] == phase
        at = fault.exchanges().index(first)
        assert all(fault.taken_part("west")[:at])
        assert not any(fault.taken_part("west")[at:])
        assert all(map(all, map(fault.taken_part, ("north", "south"))))
        losses = fault.told("missing", "west")
        assert losses[0]["phase"] == phase
        assert losses[0]["fix"]
        # Only a tree that was begun with it has to be begun again.
        again = [e for e in fault.exchanges() if (e["phase"], e["round"]) == ("booster", 1)]
        assert len(again) == (4 if phase == "booster" else 2)


def test_a_revoked_key_is_out_at_once(baseline: Baseline) -> None:
    with faulty("key of west revoked in the backbones", baseline, QUICK) as fault:
        fault.reaches("backbones", 0)
        node = fault.running.sites["west"].node
        began = time.monotonic()
        number = fault.running.nodes["west"]
        fault.running.superlink.flwr("supernode", "unregister", number, "own")
        wait_until(lambda: not node.is_alive, 60.0, "the end of its node")
        print(f"\nits node ended {time.monotonic() - began:.1f} s after the order was given")
        fault.completes()
        assert fault.told("missing", "west")
        took_part = fault.taken_part("west")
        assert took_part[:2] == [True, True]
        assert not any(took_part[3:])
        assert all(map(all, map(fault.taken_part, ("north", "south"))))


# --- sites that say no, or send what cannot be ---


def test_a_study_that_is_withdrawn_ends_at_once_at_that_site(baseline: Baseline) -> None:
    with faulty("west withdraws the study in the backbones", baseline) as fault:
        fault.reaches("backbones", 0)
        site = fault.running.sites["west"]
        (site.folder / "approved" / "study.yaml").unlink()
        fault.completes()
        assert "not approved at this site" in site.worker.text()
        told = fault.told("missing", "west") + fault.told("refused", "west")
        assert all("not approved at this site" in loss["problem"] for loss in told)
        assert fault.taken_part("west") == [True, True] + [False] * (len(fault.exchanges()) - 2)


def test_an_update_a_thousand_times_too_large_is_rejected_and_no_more(baseline: Baseline) -> None:
    with open_folder() as folder:
        running = federation(folder, None, **SLOW)
        running.sites["west"].program = plant(folder / "planted", 1000.0)
        with running:
            fault = Watched(running, baseline, "updates of west 1000 times too large")
            fault.completes()
            rejected = fault.told("rejected", "west")
            assert {(loss["phase"], loss["round"]) for loss in rejected} == TRAINED
            assert all("its update has norm" in loss["problem"] for loss in rejected)
            accepted = {where(e) for e in fault.exchanges() if "west" in e["accepted"]}
            assert {("census", 1, 0), ("booster", 2, 1)} <= accepted
            assert all(map(all, map(fault.taken_part, ("north", "south"))))


# --- certificates ---


def test_a_certificate_that_expires_in_mid_run_costs_the_time_until_it_is_renewed(
    baseline: Baseline,
) -> None:
    with faulty("certificate expired in the fusion, renewed", baseline) as fault:
        running, keys = fault.running, fault.running.superlink.keys
        fault.reaches("fusion", 0)
        write_server_certificate(keys, -1 / 48)
        running.superlink.process.kill()
        running.superlink.process.start()
        for site in running.sites.values():
            wait_until(partial(_has_given_up, site), 120.0, f"the surrender of {site.name}")
        write_server_certificate(keys, 30)
        running.superlink.process.stop()
        running.superlink.restart()
        for site in running.sites.values():  # as a supervisor does
            site.node.stop()
        let_in_again(*running.sites.values())
        fault.launch_again()
        fault.completes()
        assert digests(running.run.path) == baseline.digests


def _has_given_up(site: Site) -> bool:
    return "Giving up reconnection" in site.node.text() or not site.node.is_alive


# --- disks ---

_ROOT = pytest.mark.skipif(not can_mount(), reason="only root can mount a disk that can be filled")


@_ROOT
def test_a_full_disk_at_a_site_stops_a_run_that_needs_it_and_room_lets_it_go_on(
    baseline: Baseline,
) -> None:
    settings = {**SLOW, "quorum": 3}
    with open_folder() as folder:
        undisturbed = in_process(folder, **settings)
        running = federation(folder, QUICK, **settings)
        site = running.sites["west"]
        with small_disk(site.state, 16) as disk, running:
            fault = Watched(running, baseline, "disk of west full in the backbones")
            fault.reaches("backbones", 1)
            disk.fill()
            fault.ends("finished:failed")
            (loss,) = fault.told("missing", "west") + fault.told("refused", "west")
            assert "records" in loss["problem"]
            assert "make room" in loss["fix"]
            assert "No space left on device" in site.worker.text()
            assert not (running.run.path / "release.zip").exists()
            disk.make_room()
            fault.launch_again()
            fault.completes()
        assert digests(running.run.path) == digests(undisturbed)


@_ROOT
def test_a_full_disk_at_the_coordinator_stops_the_run_and_room_lets_it_go_on(
    baseline: Baseline,
) -> None:
    with open_folder() as folder, small_disk(folder / "runs", 128) as disk:
        settings = {"folder": folder / "federation"}
        with federation(folder, settings, **SLOW) as running:
            fault = Watched(running, baseline, "disk of the coordinator full in the fusion")
            fault.reaches("fusion", 0)
            disk.fill()
            fault.ends("finished:failed")
            told = running.log(fault.flower_run)
            assert "cannot be written: No space left on device" in told
            assert "make room on the disk" in told
            disk.make_room()
            fault.launch_again()
            fault.completes()
            assert digests(running.run.path) == baseline.digests
