import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process, children, command_line, wait_until

_PARENT = ["sh", "-c", 'sleep 1000 & echo "$!"; wait']


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def child_of(process: Process) -> int:
    # A fork that has not become `sleep` yet shows the shell's words, and for a moment none.
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [pid for pid in children(process.pid, "sleep") if "sh" not in command_line(pid)]
        return bool(found)

    wait_until(is_there, 10.0, "a child", every_s=0.01)
    return found[0]


def have_ended(*pids: int) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), 10.0, "their end", every_s=0.01)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(_PARENT, tmp_path / "log")
    yield process
    process.close()


def test_a_stop_ends_the_children_too(process: Process) -> None:
    child = child_of(process.start())
    assert process.stop() == -signal.SIGTERM
    have_ended(child)


def test_a_killed_process_leaves_its_children_until_it_is_closed(process: Process) -> None:
    child = child_of(process.start())
    process.kill()
    assert not process.is_alive
    assert is_alive(child)
    process.close()
    have_ended(child)


def test_closing_ends_what_earlier_starts_left_behind(process: Process) -> None:
    first = child_of(process.start())
    process.kill()
    second = child_of(process.start())
    assert is_alive(first)
    process.close()
    have_ended(first, second)
    process.close()


def test_one_that_was_never_started_can_be_closed(process: Process) -> None:
    process.close()


def test_a_function_among_the_words_is_called_at_every_start(tmp_path: Path) -> None:
    numbers = iter(range(2))
    process = Process(["echo", "start", lambda: next(numbers)], tmp_path / "log")
    for _ in range(2):
        process.start()
        wait_until(lambda: not process.is_alive, 10.0, "its end", every_s=0.01)
    process.close()
    assert process.text().splitlines() == ["start 0", "start 1"]
