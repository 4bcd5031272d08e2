from collections import Counter

from common.boosting.turns import turns

SITES = ("north", "south", "west", "east")


def test_each_site_comes_first_once_in_as_many_rounds_as_there_are_sites() -> None:
    for cycle in range(5):
        first = [turns(7, SITES, 4 * cycle + number)[0] for number in (1, 2, 3, 4)]
        assert Counter(first) == Counter(SITES)


def test_every_site_stands_in_for_the_first_once() -> None:
    for number in range(1, 9):
        assert sorted(turns(7, SITES, number)) == sorted(SITES)


def test_the_seed_and_the_cycle_shuffle() -> None:
    orders = {tuple(turns(seed, SITES, 1)) for seed in range(20)}
    assert len(orders) > 5
    assert len({tuple(turns(7, SITES, 4 * cycle + 1)) for cycle in range(20)}) > 5
    assert turns(7, SITES, 3) == turns(7, SITES, 3)


def test_one_site_always_has_its_turn() -> None:
    assert [turns(1, ("north",), number) for number in (1, 2, 9)] == [["north"]] * 3
