"""docs/operations.md, command by command: a coordinator and three hospitals on this machine.

Each has a folder of its own. Where the walls can be built (as root, on Linux), worker and carrier
of each hospital are two users, and the worker has no network. What the page tells root to do once
for the whole machine (users, units, packages) is left out.
"""

import csv
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.metrics import load_metrics
from simulations.synthetic import SiteShare, SyntheticSettings, write_dataset
from tests.support.book import Page, Party
from tests.support.processes import ROOT, free_port, wait_until
from tests.support.small_federation import open_folder
from tests.support.small_scenario import SITES
from tests.support.walls import CARRIER_USER, GROUP, WORKER_USER, can_wall, hand_over, wall

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]

PAGE = Page.read(ROOT / "docs" / "operations.md")
STUDY = """\
name: trial
sites: [north, south, west]
quorum: 2
labels: {name: all-subtypes, classes: [Benign, Early, Pre, Pro]}
imaging: {size: 64}
network:
  weights: bundled
  backbones:
    - {architecture: test_byobnet, cut: stages.2}
    - {architecture: starnet_s050, cut: stages.2}
  h1: 16
  h2: 8
phases:
  - {name: census}
  - {name: backbones, head_rounds: 1, tail_rounds: 1}
  - {name: fusion, rounds: 1}
  - {name: booster, rounds: 1, depth: 2}
  - {name: calibration}
  - {name: evaluation, replicates: 20}
  - {name: release}
"""


RUNS = "Plan, rehearse, launch, follow"
ADMIT = "leukofed-server admit north.request.yaml"


class Hospital(Party):
    """A hospital with its smears."""

    def __init__(self, folder: Path, name: str, log: Path) -> None:
        self.site = folder / "site"
        self.smears = folder / "smears"
        self.health_port = free_port()
        users = ("--worker-user leukofed-worker ", "--carrier-user leukofed-carrier")
        instead = {
            "init --site /var/lib/leukofed": f"init --name {name} --data {self.smears}",
            "/var/log/leukofed": str(folder / "logs"),
            "9190": str(self.health_port),
            "north.kit": f"{name}.kit",
            "leukofed-worker": f"{WORKER_USER}:{GROUP}",
            "leukofed-carrier": f"{CARRIER_USER}:{GROUP}",
        }
        if not can_wall():
            instead = {**dict.fromkeys(users, ""), **instead}
        self.site.mkdir(parents=True)
        super().__init__(self.site, PAGE, "A hospital", instead, log)

    def keep_running(self) -> None:
        """Run it, as root with the wall."""
        folder = self.site.parent
        before = wall(0, folder / "stage", [folder], network=True) if can_wall() else ()
        self.keep("Run", "leukofed-site run", before)


class Coordinator(Party):
    """The coordinator."""

    def __init__(self, folder: Path, log: Path) -> None:
        ports = f"--port {free_port()} --link-port {free_port()}"
        folder.mkdir()
        instead = {
            "init --federation /srv/leukofed --host leukofed.example.org":
                f"init --host localhost {ports}",
            "--weights weights ": "",
        }  # fmt: skip
        super().__init__(folder, PAGE, "The coordinator", instead, log)

    def online(self) -> int:
        """Count the sites that are connected."""
        return self.run("leukofed-server sites").count("online")

    def phase(self) -> str:
        """Tell the phase of the run at work."""
        found = json.loads(self.run("leukofed-server status --json", code=None))
        return str(found["run"]["phase"]) if found.get("run") else ""


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[tuple[Coordinator, dict[str, Hospital]]]:
    with open_folder() as folder:
        log = tmp_path / "screens.txt"
        coordinator = Coordinator(folder / "federation", log)
        hospitals = {name: Hospital(folder / name, name, log) for name in SITES}
        write_smears(folder / "smears", hospitals)
        try:
            yield coordinator, hospitals
        finally:
            for party in (*hospitals.values(), coordinator):
                party.close()


def write_smears(folder: Path, hospitals: dict[str, Hospital]) -> None:
    shares = {"north": (3, 3, 1, 1), "south": (1, 1, 3, 3), "west": (2, 2, 2, 2)}
    sites = tuple(SiteShare(name=name, train=train) for name, train in shares.items())
    settings = SyntheticSettings(seed=4, sites=sites, validation=1, test=1, fields=2, size=64)
    manifest = write_dataset(folder, settings, lambda done, of: None)
    rows = list(csv.DictReader(manifest.open(encoding="utf-8")))
    columns = ("path", "label", "patient", "split")
    for name, hospital in hospitals.items():
        own = [row for row in rows if row["site"] == name]
        for row in own:
            place = hospital.smears / row["path"]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / row["path"], place)
        with (hospital.smears / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns, extrasaction="ignore")
            table.writeheader()
            table.writerows(own)
        if can_wall():
            hand_over(hospital.smears, WORKER_USER, 0o700)


def test_from_nothing_to_a_model(parties: tuple[Coordinator, dict[str, Hospital]]) -> None:
    coordinator, hospitals = parties
    began = time.monotonic()
    enrol(coordinator, hospitals)
    (coordinator.folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    coordinator.follow("Propose a study")
    for hospital in hospitals.values():
        shutil.copy(coordinator.folder / "studies" / "trial" / "proposal.yaml", hospital.site)
        hospital.follow("Approve a study", "leukofed-site approve", answers="y\n")
        hospital.keep_running()
    north = hospitals["north"]
    north.follow("Check")
    coordinator.follow(RUNS, "leukofed-server plan")
    wait_until(lambda: coordinator.online() == 3, 120, "the sites", every_s=3)
    coordinator.follow(RUNS, "leukofed-server launch trial --rehearse", answers="y\n")
    print(f"from nothing to a finished rehearsal: {time.monotonic() - began:.0f} s, "
          f"{len(coordinator.followed)} commands of the coordinator")  # fmt: skip
    assert "Nothing has left this site." in north.run("leukofed-site log")

    with ThreadPoolExecutor() as pool:
        launched = pool.submit(coordinator.run, "leukofed-server launch trial", "y\n", code=None)
        wait_until(lambda: coordinator.phase() == "fusion", 180, "the fusion phase", every_s=2)
        coordinator.follow(RUNS, "leukofed-server status")
        north.follow("Run", "leukofed-site status")
        assert json.loads(north.follow("Run", "curl"))["well"]
        coordinator.follow(RUNS, "leukofed-server stop", answers="y\n")
        launched.result()
    coordinator.follow(RUNS, "leukofed-server resume")
    print(f"from nothing to the first finished run: {time.monotonic() - began:.0f} s")
    coordinator.follow(RUNS, "leukofed-server logs")
    assert "finished" in coordinator.follow(RUNS, "leukofed-server runs")
    run = coordinator.folder / "runs" / "trial-1"
    assert load_metrics(run / "metrics.json").complete
    assert (run / "release.zip").is_file()

    stays_in_charge(north, run)
    coordinator.follow("Certificates, revocation", answers="y\n")
    wait_until(lambda: coordinator.online() == 2, 60, "the end of north's link", every_s=1)
    followed = coordinator.followed.union(*(one.followed for one in hospitals.values()))
    assert PAGE.ours() - followed == set()


def enrol(coordinator: Coordinator, hospitals: dict[str, Hospital]) -> None:
    """Make the federation, and let each hospital ask, be admitted and join."""
    coordinator.follow("Make the federation")
    start = coordinator.keep("Start", "leukofed-server start")
    wait_until(lambda: "ready" in start.text(), 60, "the front")
    for name, hospital in hospitals.items():
        hospital.follow("Join", "leukofed-site init", answers="\n" * 20)
        shutil.copy(hospital.site / "request.yaml", coordinator.folder / f"{name}.request.yaml")
        coordinator.run(ADMIT, answers="y\n", of=name)
        shutil.copy(coordinator.folder / "kits" / f"{name}.kit.yaml", hospital.site)
        hospital.follow("Join", "leukofed-site join", answers="y\n")
        link = hospital.site / "link" / "link.yaml"
        text = link.read_text(encoding="utf-8").replace("9190", str(hospital.health_port))
        link.write_text(text, encoding="utf-8")


def stays_in_charge(hospital: Hospital, run: Path) -> None:
    """See what left, what would leave, write the papers, and withdraw the study."""
    digest = load_metrics(run / "metrics.json").study_digest
    hospital.instead = {**hospital.instead, "5da1": digest[:4]}
    shown = hospital.follow("Stay in charge", "leukofed-site log")
    assert "chain intact" in shown
    assert digest not in hospital.run("leukofed-site log --study 5da1")
    checked = hospital.run(f"leukofed-site log --verify --record {run / 'record.jsonl'}")
    assert "heads that the record tells of" in checked
    hospital.follow("Stay in charge", "leukofed-site check")
    hospital.follow("Stay in charge", "leukofed-site pack")
    assert list((hospital.site / "papers").glob("*.html"))
    hospital.follow("Approve a study", "leukofed-site studies")
    hospital.follow("Approve a study", "leukofed-site withdraw", answers="y\n")
