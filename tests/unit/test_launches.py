"""A site's memory for launches: a later one of a run ends the earlier ones, also over a restart."""

from pathlib import Path
from typing import Any

import pytest

from client.launches import Launches
from common.signing import Signed
from common.troubles import Trouble, Unanswered
from tests.support.exchanges import request


def signed(launch: int, **step: Any) -> Signed:
    return Signed(launch, request(**step), b"")


def refused(launches: Launches, launch: int, **step: Any) -> bool:
    try:
        launches.admit(signed(launch, **step))
    except Unanswered as error:
        return error.trouble is Trouble.OUTDATED
    return False


def test_a_later_launch_of_a_run_ends_the_earlier_ones(tmp_path: Path) -> None:
    launches = Launches(tmp_path / "launches")
    told = [refused(launches, launch) for launch in (5, 5, 7, 5, 7, 6, 8)]
    assert told == [False, False, False, True, False, True, False]


def test_it_is_remembered_by_the_next_worker(tmp_path: Path) -> None:
    Launches(tmp_path).admit(signed(2**63))
    assert refused(Launches(tmp_path), 2**63 - 1)
    assert not refused(Launches(tmp_path), 2**63)


@pytest.mark.parametrize("other", [{"run": ".."}, {"study": "1" * 64}])
def test_every_run_has_launches_of_its_own(tmp_path: Path, other: dict[str, str]) -> None:
    launches = Launches(tmp_path)
    launches.admit(signed(9))
    assert not refused(launches, 3, **other)
    assert refused(launches, 8)


def test_a_disk_that_refuses_costs_no_more_than_the_memory_of_the_next_worker(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    launches = Launches(tmp_path / "file" / "launches")
    assert [refused(launches, launch) for launch in (5, 4)] == [False, True]
    assert not refused(Launches(launches.folder), 4)
