"""Working hours, by the clock on the wall."""

from datetime import datetime

import pytest

from client.hours import working_hours


@pytest.mark.parametrize(
    ("hours", "now", "holds", "next_begin"),
    [
        ("08:00-16:30", "2026-03-02 07:59", False, "2026-03-02 08:00"),
        ("08:00-16:30", "2026-03-02 08:00", True, "2026-03-03 08:00"),
        ("08:00-16:30", "2026-03-02 16:29", True, "2026-03-03 08:00"),
        ("08:00-16:30", "2026-03-02 16:30", False, "2026-03-03 08:00"),
        ("19:00-07:00", "2026-03-02 18:59", False, "2026-03-02 19:00"),
        ("19:00-07:00", "2026-03-02 23:59", True, "2026-03-03 19:00"),
        ("19:00-07:00", "2026-03-03 00:00", True, "2026-03-03 19:00"),
        ("19:00-07:00", "2026-03-03 06:59", True, "2026-03-03 19:00"),
        ("19:00-07:00", "2026-03-03 07:00", False, "2026-03-03 19:00"),
        ("00:00-06:00", "2026-02-28 00:00", True, "2026-03-01 00:00"),
        ("18:00-00:00", "2026-12-31 23:59", True, "2027-01-01 18:00"),
        ("18:00-00:00", "2026-12-31 00:00", False, "2026-12-31 18:00"),
    ],
)
def test_hours(hours: str, now: str, holds: bool, next_begin: str) -> None:
    found, clock = working_hours(hours), datetime.fromisoformat(now)
    assert found.hold(clock) is holds
    assert found.next_begin(clock) == datetime.fromisoformat(next_begin)
