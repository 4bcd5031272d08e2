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


@pytest.mark.parametrize("kept", [b"", b"x", b"\xff"])
def test_launches_that_cannot_be_read_are_not_taken_for_none(tmp_path: Path, kept: bytes) -> None:
    Launches(tmp_path).admit(signed(9))
    (file,) = tmp_path.iterdir()
    file.write_bytes(kept)
    with pytest.raises(Unanswered) as raised:
        Launches(tmp_path).admit(signed(3))
    assert raised.value.trouble is Trouble.NO_RECORDS
    assert str(file) in raised.value.local_detail


def test_a_launch_that_cannot_be_kept_is_not_worked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    launches = Launches(tmp_path / "file" / "launches")
    for _ in range(2):
        with pytest.raises(Unanswered) as raised:
            launches.admit(signed(5))
        assert raised.value.trouble is Trouble.NO_RECORDS
