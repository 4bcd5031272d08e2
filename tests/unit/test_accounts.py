import json

import pytest

from server.accounts import Accounts, Cost

ADDED = [
    ("census", "north", Cost(down=100, up=10, seconds=0.5)),
    ("census", "south", Cost(down=100, up=12)),
    ("census", "north", Cost(seconds=0.25)),
    ("fusion", "north", Cost(down=7, up=3)),
]


def accounts() -> Accounts:
    filled = Accounts()
    for phase, site, cost in ADDED:
        filled.add(phase, site, cost)
    return filled


def test_costs_add_by_phase_and_site() -> None:
    assert accounts().phases == {
        "census": {"north": Cost(100, 10, 0.75), "south": Cost(100, 12, 0.0)},
        "fusion": {"north": Cost(7, 3, 0.0)},
    }


def test_plain_data_come_back_as_accounts() -> None:
    told = json.loads(json.dumps(accounts().to_json()))
    again = Accounts.from_json(told)
    assert again.phases == accounts().phases
    again.add("fusion", "north", Cost(up=1))
    assert again.phases["fusion"] == {"north": Cost(7, 4)}
    assert told == accounts().to_json()  # a copy, not a view


def test_unknown_fields_are_no_accounts() -> None:
    with pytest.raises(TypeError, match="sideways"):
        Accounts.from_json({"census": {"north": {"sideways": 1}}})
