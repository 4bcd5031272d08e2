"""What a command in a process of its own is said to take."""

import sys

import pytest

from benchmarks.clock import Lap, Spent, alone, median

_HUNGRY = """\
import subprocess, sys, time
held = bytearray(b"1") * 150_000_000
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
time.sleep(0.5)  # the watcher looks five times a second
print("done")
"""


def test_memory_and_seconds_of_a_command_and_of_what_it_starts() -> None:
    one = alone([sys.executable, "-c", _HUNGRY])
    two = alone([sys.executable, "-c", _HUNGRY, _HUNGRY])
    assert one.printed == "done\n"
    assert 0.3 <= one.cpu_s < one.wall_s
    assert 150e6 < one.peak_bytes < 200e6
    assert two.cpu_s >= one.cpu_s + 0.25
    assert two.peak_bytes > 300e6


def test_a_command_that_fails_tells_what_it_printed() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        alone([sys.executable, "-c", "raise ValueError('no such thing')"])


def test_laps_add_up_and_medians_are_of_each_measure() -> None:
    lap, after = Lap(), []
    for _ in range(2):
        with lap:
            sum(range(200_000))
        after.append(lap.spent.cpu_s)
    assert 0 < after[0] < after[1]
    assert median([Spent(1, 9, 5), Spent(2, 8, 7), Spent(3, 1, 6)]) == Spent(2, 8, 6)
