"""A disk that is full, at a site and at the coordinator: told plainly, and nothing is lost."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from common.errors import RunStopped
from server.progress import DONE, PlainProgress
from tests.support.carrier_grid import CarrierGrid
from tests.support.coordinator import STUDY, Coordinator, census, fit
from tests.support.small_disk import SmallDisk, can_mount, small_disk
from tests.support.small_federation import digests
from tests.support.small_scenario import SITES, run_small, write_scenario
from tests.support.worker_process import NAME, WorkerSite

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_mount(), reason="only root can mount a disk that can be filled"),
]
DISK_MB = 64


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[WorkerSite, SmallDisk]]:
    site = WorkerSite(tmp_path / "site")
    site.approve(STUDY)
    with small_disk(site.config.state, 4) as disk, site:
        yield site, disk


def test_a_site_refuses_in_plain_words_and_answers_when_there_is_room(
    site: tuple[WorkerSite, SmallDisk], tmp_path: Path
) -> None:
    worker, disk = site
    grid = CarrierGrid({NAME: worker.socket})
    coordinator = Coordinator(tmp_path / "run", grid, STUDY, worker.key)
    assert coordinator.ask(census(STUDY)) is not None, worker.log()
    disk.fill()
    assert coordinator.ask(fit(STUDY, 1)) is None
    (loss,) = coordinator.losses()
    assert loss["event"] == "missing"
    assert "cannot keep its own records" in loss["problem"]
    assert "make room on its disk" in loss["fix"]
    assert str(worker.folder) not in str(loss)
    assert "No space left on device" in worker.log()
    assert worker.released() == {("run-1", "census", 1, 0)}
    disk.make_room()
    assert coordinator.ask(fit(STUDY, 1)) is not None, worker.log()
    assert worker.verify() == len(worker.passages())


class Fills:
    """A watch that fills the disk once all sites have answered in a round: it is the
    coordinator's alone then.
    """

    def __init__(self, disk: SmallDisk, phase: str, number: int) -> None:
        self._disk, self._at = disk, (phase, number)
        self._answered: set[str] = set()

    def phase(self, name: str, rounds_total: int) -> None:
        pass

    def round(self, phase: str, round: int, of: int) -> None:
        pass

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        if status == DONE and (phase.removeprefix("federated: "), round) == self._at:
            self._answered.add(site)
            if self._answered == set(SITES):
                self._disk.fill()

    def work(self, worker: str, done: int, of: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def test_a_coordinator_stops_and_goes_on_to_the_same_model_when_there_is_room(
    tmp_path: Path,
) -> None:
    scenario = write_scenario(tmp_path)
    with PlainProgress(Console(file=io.StringIO())) as watch:
        undisturbed = run_small(scenario, tmp_path / "a", watch, cache=tmp_path / "cache").path
        with small_disk(tmp_path / "b", DISK_MB) as disk:
            again = partial(run_small, scenario, tmp_path / "b", cache=tmp_path / "cache")
            for moment in (("backbones", 1), ("fusion", 2)):
                with pytest.raises(RunStopped, match="No space left on device") as stopped:
                    again(Fills(disk, *moment))
                assert "make room" in stopped.value.fix
                disk.make_room()
            assert digests(again(watch).path) == digests(undisturbed)
