"""Whole runs on Ray: the model of the engine inprocess, and sites that fail on the way."""

import io
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from client.data.cache import ActivationCache
from client.site_config import Numerics
from common.metrics import load_metrics
from common.record import read_record
from common.release import verify_release
from server.course import run_study
from server.progress import PlainProgress
from server.rounds import Rounds
from server.run_folder import RunFolder
from simulations.engines.settings import OnRay
from simulations.prepare import Places, Prepared, dataset, pinned, prepare
from simulations.scenario import load_scenario
from simulations.seat import VirtualSeat, WholeRequests
from tests.support.odd_sites import Oddity, OddSites
from tests.support.small_federation import digests
from tests.support.small_scenario import run_small, write_scenario

if find_spec("ray") is None:
    pytest.skip("Ray is not installed: pip install 'leukofed[ray]'", allow_module_level=True)

pytestmark = [
    pytest.mark.slow,
    # Ray leaves its own files and processes for the collector to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MANY = tuple(f"site-{number:02}" for number in range(1, 21))
ODD: dict[str, Oddity] = {"site-03": "raises", "site-11": "sleeps"}
DEADLINE_S = 60.0


def ran(home: Path, engine: str) -> Path:
    path = write_scenario(home, "federated", "linear_probe")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"engine: {engine}\n")
    with PlainProgress(Console(stderr=True)) as watch:
        return run_small(path, home, watch).path


def test_the_model_is_that_of_the_other_engine_bit_by_bit(tmp_path: Path) -> None:
    plain = ran(tmp_path / "plain", "{name: inprocess}")
    for name in ("ray", "again"):  # twice in one process
        on_ray = ran(tmp_path / name, "{name: ray, cpus_per_site: 0.5}")
        assert digests(on_ray) == digests(plain)
        found, expected = (load_metrics(run / "metrics.json") for run in (on_ray, plain))
        assert found.arms.linear_probe == expected.arms.linear_probe
        assert found.environment["engine"] == "ray"


def many_sites(home: Path) -> tuple[Prepared, Path]:
    """Prepare the small scenario, divided among twenty sites of eight images to train on."""
    path = write_scenario(home, quorum=10)
    text = path.read_text(encoding="utf-8")
    head, rest = text.split("    sites:\n")
    tail = rest[rest.index("    validation:") :]
    shares = "".join(f"      - {{name: {site}, train: [1, 1, 1, 1]}}\n" for site in MANY)
    settings = f"  sites: [{', '.join(MANY)}]\n  quorum"
    text = f"{head}    sites:\n{shares}{tail}".replace("  quorum", settings, 1)
    path.write_text(f"{text}engine: {{name: ray}}\n", encoding="utf-8")
    scenario, study = load_scenario(path)
    numerics = home / "numerics.json"
    numerics.write_text(Numerics(threads=1).model_dump_json(), encoding="utf-8")
    places = Places(None, None, home / "runs", home / "cache", numerics=numerics)
    run = home / "run"
    run.mkdir()
    cache = ActivationCache(places.cache, 10**10)
    with PlainProgress(Console(file=io.StringIO())) as watch:
        manifest = dataset(scenario, places, watch)
        return prepare(scenario, pinned(study, places), places, run, manifest, cache, watch), run


def test_of_twenty_sites_one_raises_and_one_sleeps_and_the_run_ends(tmp_path: Path) -> None:
    from simulations.engines.ray_grid import ray_grid  # Ray is imported by its own room first

    prepared, run = many_sites(tmp_path)
    study, virtual = prepared.study, prepared.virtual
    seat = VirtualSeat({name: virtual.config(name) for name in MANY}, (study,))
    odd = OddSites(seat, ODD, spared=("census",))
    began = time.monotonic()
    settings = OnRay(name="ray", deadline_s=DEADLINE_S)
    with (
        ray_grid(settings, MANY, odd, WholeRequests()) as (grid, _),
        PlainProgress(Console(file=io.StringIO(), width=200)) as watch,
    ):
        run_study(
            study, prepared.initial, run / "fronts.safetensors", RunFolder(run, "run"),
            partial(Rounds, grid, deadline_s=3600.0, poll_s=0.05), watch, synthetic=True,
        )  # fmt: skip
    print(f"{time.monotonic() - began:.0f} s")
    verify_release(run / "release")
    events = read_record(run / "record.jsonl")
    lost = [e for e in events if e["event"] == "missing"]
    assert {e["site"] for e in lost} == set(ODD)
    why = {site: {e["problem"] for e in lost if e["site"] == site} for site in ODD}
    assert why["site-03"] == {"no reply: its app failed (ZeroDivisionError)"}
    # Once the others have answered, who is known to be away is not waited for again.
    sleeps = ("no reply: its app failed (DeadlinePassed)", "no reply within", "it is still busy")
    assert all(problem.startswith(sleeps) for problem in why["site-11"]), why["site-11"]
    exchanges = [e for e in events if e["event"] == "exchange"]
    others = [site for site in MANY if site not in ODD]
    assert all([s for s in e["accepted"] if s in others] == others for e in exchanges)
    assert exchanges[0]["accepted"] == list(MANY)  # the census


def test_ctrl_c_ends_every_process_of_ray(tmp_path: Path) -> None:
    path = write_scenario(tmp_path, head_epochs=100_000)  # minutes
    command = Path(sys.executable).parent / "leukofed-sim"
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [command, "run", path, "--engine", "ray", "--out", tmp_path / "runs"],
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        end = time.monotonic() + 300
        while "census, round 1 of 1: 3 of 3" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1, log.read_text()
    assert "stopped; nothing that was finished is lost" in log.read_text()
    assert members(process.pid) == []


def members(session: int) -> list[str]:
    """List the processes of a session that are still alive, by command."""
    shown = subprocess.run(
        ["ps", "-o", "args=", "-s", str(session)], capture_output=True, text=True, check=False
    )
    # One that has ended, and that the init of a container does not bury, is no process any more.
    return [line for line in shown.stdout.splitlines() if "<defunct>" not in line]
