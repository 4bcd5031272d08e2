"""Whatever process is killed in the middle of a phase, the run ends with the same bits."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from client.desk import look
from common.errors import ConfigError
from common.worker_pb2 import Outlook
from tests.support.federation import Federation
from tests.support.hospital import Site, let_in_again
from tests.support.processes import children, command_line, wait_until
from tests.support.small_federation import digests, federation, in_process, open_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SLOW = {"head_epochs": 6000}  # a round of heads takes seconds
GAVE_UP = "Giving up reconnection"
_LONG = 300.0


def test_a_run_whose_every_process_was_killed_ends_with_the_same_bits() -> None:
    """Worker, carrier, SuperNode, ServerApp and SuperLink, each once; and a stop by hand."""
    with open_folder() as folder:
        undisturbed = in_process(folder, **SLOW)
        with federation(folder, **SLOW) as running:
            flower_run = running.launch()
            lost = {"worker": kill_a_worker(running)}
            lost["carrier"] = kill_a_carrier(running)
            lost["SuperNode"] = kill_a_node(running)
            flower_run, lost["ServerApp"] = kill_the_server_app(running)
            flower_run, lost["stop"] = stop_and_launch_again(running, flower_run)
            flower_run, lost["SuperLink"] = kill_the_link(running)
            assert running.wait(flower_run, _LONG) == "finished:completed"
        print("seconds from the end of a process to the next reply taken in, of all sites:", lost)
        assert digests(running.run.path) == digests(undisturbed)
        exchanges = [event for event in running.record() if event["event"] == "exchange"]
        assert all(set(event["accepted"]) == set(running.study.sites) for event in exchanges)
        assert not [event for event in running.record() if event["event"] == "refused"]


def kill_a_worker(running: Federation) -> float:
    """In the middle of training the heads."""
    site = running.sites["north"]

    def trains() -> bool:
        try:
            outlook = look(site.desk)
        except ConfigError:
            return False
        return outlook.phase == Outlook.BACKBONES and outlook.round == 1

    wait_until(trains, _LONG, "the heads' training", every_s=0.1)
    return timed(running, site.worker.kill, site.worker.start)


def kill_a_carrier(running: Federation) -> float:
    """In the middle of training the tails."""
    site = running.sites["south"]
    reached(running, "backbones", 1)
    pids: list[int] = []

    def runs() -> bool:
        pids[:] = children(site.node.pid, "flwr-clientapp")
        return bool(pids)

    wait_until(runs, _LONG, "a carrier", every_s=0.02)
    return timed(running, lambda: os.kill(pids[0], signal.SIGKILL))


def kill_a_node(running: Federation) -> float:
    """In the fusion phase."""
    site = running.sites["west"]
    reached(running, "fusion", 0)

    return timed(running, site.node.kill, lambda: let_in_again(site))


def kill_the_server_app(running: Federation) -> tuple[str, float]:
    """In the middle of the booster's first round."""
    reached(running, "booster", 1)
    (pid,) = children(running.superlink.process.pid, "flwr-serverapp")
    found: list[str] = []
    seconds = timed(
        running,
        lambda: os.kill(pid, signal.SIGKILL),
        lambda: found.append(running.launch()),
    )
    return found[0], seconds


def stop_and_launch_again(running: Federation, flower_run: str) -> tuple[str, float]:
    """In the booster's second round."""
    reached(running, "booster", 2)
    (pid,) = children(running.superlink.process.pid, "flwr-serverapp")
    running.stop(flower_run)
    asked, by_then = time.monotonic(), datetime.now().astimezone() + timedelta(seconds=2)
    wait_until(lambda: not command_line(pid), 20, "the ServerApp's end", every_s=0.05)
    last = datetime.fromisoformat(running.record()[-1]["time"])
    assert last < by_then, "the ServerApp went on for more than two seconds"
    print(f"the ServerApp ended {time.monotonic() - asked:.1f} s after `flwr stop` had returned")
    found: list[str] = []
    seconds = timed(running, lambda: None, lambda: found.append(running.launch()))
    return found[0], seconds


def kill_the_link(running: Federation) -> tuple[str, float]:
    """Between the two exchanges of the evaluation."""
    reached(running, "evaluation", 1)
    found: list[str] = []

    def start_and_launch() -> None:
        running.superlink.restart()
        found.append(running.launch())
        for site in running.sites.values():
            restart_if_it_gave_up(site)

    seconds = timed(running, running.superlink.process.kill, start_and_launch)
    return found[0], seconds


def restart_if_it_gave_up(site: Site) -> None:
    """Do what a supervisor has to: a TLS error at a reconnect leaves a node alive, but offline."""
    with suppress(TimeoutError):
        wait_until(lambda: GAVE_UP in site.node.text(), 10.0, "a node's surrender")
        site.node.stop()
        let_in_again(site)


def reached(running: Federation, phase: str, number: int) -> None:
    """Wait until an exchange of this round of a phase is over."""

    def is_reached() -> bool:
        return any(
            event["event"] == "exchange" and (event["phase"], event["round"]) == (phase, number)
            for event in running.record()
        )

    wait_until(is_reached, _LONG, f"{phase}, round {number}", every_s=0.1)


def timed(running: Federation, *acts: Callable[[], Any]) -> float:
    """Do something; return the seconds from then to the end of the next exchange."""
    before = datetime.now().astimezone()
    for act in acts:
        act()

    def next_exchange() -> list[datetime]:
        return [
            found
            for event in running.record()
            if event["event"] == "exchange"
            and (found := datetime.fromisoformat(event["time"])) > before
        ]

    wait_until(next_exchange, _LONG, "the next exchange")
    return round((next_exchange()[0] - before).total_seconds(), 1)
