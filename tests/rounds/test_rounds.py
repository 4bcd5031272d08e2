"""Rounds over the in-process grid: whatever one site does costs that site's reply only."""

from pathlib import Path

import numpy as np
import pytest

from common.errors import RunStopped, UpdateRejected
from common.wire import Reply
from tests.support.round_bench import (
    EXAMPLES,
    FAULTS,
    MODEL,
    SITES,
    Bench,
    altered,
    expected_mean,
    raising,
)


def test_all_sites_are_added_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.run() == list(SITES)
    assert bench.mean.examples == sum(EXAMPLES.values())
    np.testing.assert_allclose(bench.mean.mean()["w"], expected_mean(SITES), rtol=1e-12)
    (event,) = bench.events("exchange")
    assert event["accepted"] == list(SITES)
    assert (event["phase"], event["round"], event["ask"]) == ("fusion", 1, "fit")
    costs = bench.rounds.accounts.phases["fusion"]
    assert event["bytes_down"] == {site: cost.down for site, cost in costs.items()}
    assert event["bytes_up"] == {site: cost.up for site, cost in costs.items()}
    assert set(costs) == set(SITES)
    assert all(
        cost.seconds == 0.25 and cost.down > 100 and cost.up > 100 for cost in costs.values()
    )


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_costs_only_its_site(tmp_path: Path, name: str) -> None:
    fault, event, words = FAULTS[name]
    bench = Bench(tmp_path, faults={"north": fault})
    assert bench.run() == ["east", "south"]
    assert set(bench.losses) == {"north"}
    assert bench.losses["north"][0] == event
    assert words in bench.losses["north"][1]
    assert "patients" not in bench.record.path.read_text()
    assert f"north, fusion, round 1: {event}: " in bench.shown.getvalue()
    np.testing.assert_allclose(bench.mean.mean()["w"], expected_mean(["east", "south"]), rtol=1e-12)


def test_a_bug_at_a_virtual_site_keeps_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Bench(tmp_path, faults={"north": raising}).run()
    (entry,) = caplog.records
    assert entry.getMessage() == "site north failed; its reply is lost"
    assert entry.exc_info is not None
    assert entry.exc_info[0] is FileNotFoundError


def test_below_the_quorum_the_run_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, faults={"north": raising, "south": lambda data: b"x"})
    with pytest.raises(RunStopped, match="fusion, round 1: 1 of 3 sites") as stopped:
        bench.run()
    assert "quorum is 2" in stopped.value.problem
    assert "resume" in stopped.value.fix
    assert bench.events("stopped")[0]["problem"] == stopped.value.problem
    assert bench.run(round=2, quorum=1) == ["east"]


def test_the_order_of_sites_changes_no_bit(tmp_path: Path) -> None:
    means = []
    for number, order in enumerate((SITES, SITES[::-1])):
        bench = Bench(tmp_path / str(number))
        assert bench.run(sites=order) == list(order)
        means.append(bench.mean.mean()["w"].tobytes())
    assert means[0] == means[1]


def test_a_part_travels_only_when_it_is_not_what_went_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    moved = {"w": MODEL["w"] + 1}
    for number, model in enumerate((MODEL, MODEL, moved, MODEL), start=1):
        bench.run(round=number, model=model)
    for site in bench.sites.values():
        assert site.received == [{"fusion"}, set(), {"fusion"}, {"fusion"}]


def test_a_site_that_forgot_is_sent_the_parts_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run()
    bench.sites["south"].held.clear()
    assert bench.run(round=2) == list(SITES)
    assert bench.sites["south"].received == [{"fusion"}, set(), {"fusion"}]
    assert bench.losses == {}


def test_a_site_that_forgets_for_ever_is_rejected(tmp_path: Path) -> None:
    forgets = altered(status="needs-parts", needs=("fusion",), told=None, arrays={})
    bench = Bench(tmp_path, faults={"south": forgets})
    assert bench.run() == ["east", "north"]
    assert bench.losses["south"] == (
        "rejected", "reply from south rejected: it calls for parts that it was just sent",
    )  # fmt: skip
    assert len(bench.sites["south"].received) == 2


def test_a_rejected_site_is_asked_again_next_round_with_its_parts(tmp_path: Path) -> None:
    broken = [True]
    bench = Bench(tmp_path, faults={"north": lambda data: b"x" if broken[0] else data})
    bench.run()
    broken[0] = False
    assert bench.run(round=2) == list(SITES)
    assert bench.sites["north"].received == [{"fusion"}, {"fusion"}]


def test_a_bug_in_taking_a_reply_is_not_hidden(tmp_path: Path) -> None:
    def take(site: str, reply: Reply) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Bench(tmp_path).run(take=take)


def test_a_take_that_refuses_leaves_the_mean_untouched(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def take(site: str, reply: Reply) -> None:
        if site == "east":
            raise UpdateRejected(site, "its census said otherwise", fix="ask it")
        bench.take(site, reply)

    assert bench.run(take=take) == ["north", "south"]
    np.testing.assert_allclose(
        bench.mean.mean()["w"], expected_mean(["north", "south"]), rtol=1e-12
    )
