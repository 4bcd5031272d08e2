"""Sites in processes of Ray: the grid with simple answers, then whole runs with virtual sites."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

import pytest

if find_spec("ray") is None:
    pytest.skip("Ray is not installed: pip install 'leukofed[ray]'", allow_module_level=True)

# Before Ray itself: the room silences it while it is imported.
from simulations.engines.ray_cluster import cluster, room
from simulations.engines.ray_grid import RayGrid

# isort: split
import ray
from flwr.app import Message
from flwr.common.constant import ErrorCode

from common.errors import ConfigError
from common.flower import MESSAGE_TYPE, from_records, to_records
from simulations.engines.settings import OnRay
from tests.support.odd_sites import Oddity, OddSites
from tests.support.processes import free_port

pytestmark = [
    pytest.mark.slow,
    # Ray leaves its own files and processes for the collector to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SITES = ("east", "north", "south", "west", "centre")


@pytest.fixture(scope="module")
def two_cores_and_a_gpu() -> Iterator[None]:
    """Ray on this machine, which is to believe that it has a GPU."""
    with tempfile.TemporaryDirectory(prefix="lkf-ray-", ignore_cleanup_errors=True) as folder:
        ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, _temp_dir=folder,
                 logging_level=logging.ERROR, log_to_driver=False)  # fmt: skip
        yield
        ray.shutdown()


def asked(grid: RayGrid, data: bytes = b"hello", most_s: float = 120.0) -> dict[str, bytes | int]:
    """Ask every site; return what it answered, or Flower's code of the error."""
    messages = {
        node.name: Message(to_records(data), node.node_id, MESSAGE_TYPE, ttl=3600.0)
        for node in grid.get_nodes()
    }
    pending = dict(zip(grid.push_messages(messages.values()), messages, strict=True))
    found: dict[str, bytes | int] = {}
    end = time.monotonic() + most_s
    while pending and time.monotonic() < end:
        for key in list(pending):
            for reply in grid.pull_messages([key]):
                error = reply.error.code if reply.has_error() else None
                found[pending.pop(key)] = from_records(reply) if error is None else error
        time.sleep(0.02)
    return found


def words(answers: Mapping[str, bytes | int]) -> dict[str, list[bytes]]:
    return {site: data.split() for site, data in answers.items() if isinstance(data, bytes)}


@pytest.mark.usefixtures("two_cores_and_a_gpu")
def test_each_odd_site_costs_itself_alone() -> None:
    odd: dict[str, Oddity] = {"east": "raises", "north": "sleeps", "south": "dies"}
    grid = RayGrid(SITES, OddSites(odd=odd), 2, OnRay(name="ray", deadline_s=8.0))
    try:
        for _ in range(2):  # and again, with processes that took the place of those lost
            found = asked(grid)
            assert {site: found[site] for site in odd} == {
                "east": ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
                "north": ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
                "south": ErrorCode.CLIENT_APP_CRASHED,
            }
            answers = words(found)
            assert {site: (a, b) for site, (a, b, _) in answers.items()} == {
                site: (site.encode(), b"hello") for site in ("west", "centre")
            }
            assert str(os.getpid()).encode() not in {pid for *_, pid in answers.values()}
    finally:
        grid.close()


@pytest.mark.usefixtures("two_cores_and_a_gpu")
def test_a_share_of_a_gpu_is_kept_for_each_site() -> None:
    settings = OnRay(name="ray", cpus_per_site=0.5, gpus_per_site=0.25)
    assert room(settings) == 4
    grid = RayGrid(SITES, OddSites(), 2, settings)
    try:
        assert len({pid for *_, pid in words(asked(grid)).values()}) <= 2
        left = ray.available_resources()
        assert (left["CPU"], left["GPU"]) == (1.0, 0.5)
    finally:
        grid.close()


@pytest.mark.usefixtures("two_cores_and_a_gpu")
@pytest.mark.parametrize("share", [{"cpus_per_site": 3}, {"gpus_per_site": 2}], ids=str)
def test_what_no_machine_has_is_told_at_once(share: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="the most are 2 cores and 1 GPUs"):
        room(OnRay.model_validate({"name": "ray", **share}))


def test_a_cluster_that_is_not_there_is_told_soon() -> None:
    began = time.monotonic()
    settings = OnRay(name="ray", address=f"127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match="no Ray cluster"), cluster(settings):
        pass
    assert time.monotonic() - began < 20
