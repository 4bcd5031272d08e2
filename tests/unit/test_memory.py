"""In processes of their own: what a C library has learned about sizes would enter otherwise."""

import subprocess
import sys

import pytest

from client.training.memory import _glibc

pytestmark = pytest.mark.skipif(_glibc() is None, reason="the C library is not glibc")

# A page that is used for the first time, or again after it was given back, costs a fault.
FAULTS = """
import resource, sys
from contextlib import nullcontext
import numpy as np
from client.training.memory import kept_memory

def used():
    np.ones(64 << 20, dtype=np.uint8)

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

with kept_memory() if sys.argv[1] == "kept" else nullcontext():
    used()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        used()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    within = held()
print(within - held())
"""


def measured(way: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, way], capture_output=True, text=True, check=True
    )
    faults, given_back = map(int, done.stdout.split())
    return faults, given_back


def test_memory_is_used_again_without_a_fault_and_given_back_at_the_end() -> None:
    left_alone, _ = measured("left alone")
    kept, given_back = measured("kept")
    assert left_alone > 50
    assert kept < left_alone / 10
    assert given_back > 48 << 20
