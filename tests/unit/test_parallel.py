import threading
import time

import pytest

from client.data.parallel import Room, cores, in_order


def test_results_come_in_the_items_order() -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (5 - number % 5))
        return number * number

    assert list(in_order(work, range(20))) == [number * number for number in range(20)]


def test_an_error_is_raised_in_its_items_turn() -> None:
    found = in_order(lambda number: 1 / (number - 3), range(10))
    assert [next(found) for _ in range(3)] == [-1 / 3, -1 / 2, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_no_more_is_begun_than_may_wait() -> None:
    begun: list[int] = []
    found = in_order(begun.append, range(100), ahead=3)
    next(found)
    assert len(begun) <= 4
    found.close()
    assert len(begun) <= 4


def test_a_pulse_that_raises_ends_the_work() -> None:
    pulses: list[int] = []
    done: list[int] = []

    def pulse() -> None:
        pulses.append(len(pulses))
        if len(pulses) > 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(in_order(done.append, range(1000), pulse))
    assert len(done) <= 5


def test_room_is_never_overdrawn_and_what_is_too_large_goes_alone() -> None:
    room = Room(100)
    held: list[int] = []
    most: list[int] = []
    guard = threading.Lock()

    def work(size: int) -> None:
        with room.taken(size):
            with guard:
                held.append(size)
                most.append(sum(held))
            time.sleep(0.001)
            with guard:
                held.remove(size)

    list(in_order(work, [30, 60, 50, 1, 40] * 8))
    assert max(most) <= 100
    with room.taken(1000):
        pass
    assert cores() >= 1
