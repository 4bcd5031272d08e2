from common.figures import Attendance
from server.attendance import Register, rounds_lost

SITES = ("east", "north", "south")


def test_a_loss_in_one_exchange_is_a_loss_of_the_round() -> None:
    register = Register()
    register.note("booster", 1, "east", "answered")
    register.note("booster", 1, "east", "rejected")
    register.note("booster", 1, "north", "missing")
    register.note("booster", 1, "north", "answered")
    register.note("booster", 2, "north", "answered")
    assert register.participation(SITES) == {
        "booster": (
            Attendance(
                round=1, sites={"east": "rejected", "north": "missing", "south": "left out"}
            ),
            Attendance(
                round=2, sites={"east": "left out", "north": "answered", "south": "left out"}
            ),
        )
    }
    assert rounds_lost(register.participation(SITES)) == {"east": 2, "north": 1, "south": 2}


def test_only_a_reply_that_was_missing_comes_late() -> None:
    register = Register()
    for site, mark in (("east", "missing"), ("north", "refused")):
        register.note("fusion", 3, site, mark)  # type: ignore[arg-type]
        register.came_late("fusion", 3, site)
    register.came_late("fusion", 9, "east")  # before the newest checkpoint
    (held,) = register.participation(SITES)["fusion"]
    assert held.sites == {"east": "late", "north": "refused", "south": "left out"}


def test_a_resumed_run_keeps_its_register() -> None:
    register = Register()
    register.note("census", 1, "east", "answered")
    register.note("backbones", 0, "north", "late")
    again = Register.from_json(register.to_json())
    assert again.participation(SITES) == register.participation(SITES)
    assert list(again.participation(SITES)) == ["census", "backbones"]


def test_nothing_is_lost_where_all_answered() -> None:
    register = Register()
    for site in SITES:
        register.note("census", 1, site, "answered")
    assert rounds_lost(register.participation(SITES)) == {}
