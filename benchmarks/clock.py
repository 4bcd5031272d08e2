"""Seconds and memory: of a piece of work in this process, or of a command in one of its own."""

import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.2
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """What some work took."""

    wall_s: float
    cpu_s: float  # of all threads together; other work on the machine disturbs it less
    peak_bytes: int = 0  # most memory that its processes held
    printed: str = ""  # by a command


class Lap:
    """Measures what is done within its context; entered again, it adds up."""

    def __init__(self) -> None:
        self.spent = Spent(0.0, 0.0)

    def __enter__(self) -> "Lap":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *raised: object) -> None:
        self.spent = Spent(
            self.spent.wall_s + time.perf_counter() - self._wall,
            self.spent.cpu_s + time.process_time() - self._cpu,
        )


def median(several: Iterable[Spent]) -> Spent:
    """Return the median of each measure."""
    laps = list(several)
    return Spent(
        statistics.median(lap.wall_s for lap in laps),
        statistics.median(lap.cpu_s for lap in laps),
        int(statistics.median(lap.peak_bytes for lap in laps)),
    )


def alone(command: Sequence[object], environment: Mapping[str, str] | None = None) -> Spent:
    """Run a command to its end in a process of its own, and keep what it prints.

    Its memory is what the kernel says of its own address space (`ru_maxrss` would begin at this
    process's), and while it has processes of its own the sum of what all hold, looked at five
    times a second. Its seconds are those of all of them, also of those that it does not wait for.

    Raises:
        RuntimeError: it failed; with the end of what it printed.
    """
    words = [str(word) for word in command]
    before, start = _waited_for(), time.perf_counter()
    peak, ticks = 0, dict[int, int]()
    with tempfile.TemporaryFile() as printed:
        surroundings = {**os.environ, **(environment or {})}
        with subprocess.Popen(
            words, stdout=printed, stderr=subprocess.STDOUT, env=surroundings
        ) as process:
            while process.poll() is None:
                family = _family(process.pid)
                ticks |= family
                others = sum(resident_bytes(pid) for pid in family if pid != process.pid)
                peak = max(peak, peak_bytes(process.pid) + others)
                try:
                    process.wait(_LOOK_EVERY_S)
                except subprocess.TimeoutExpired:
                    continue
        wall_s = time.perf_counter() - start
        printed.seek(0)
        text = printed.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{text[-3000:]}")
    return Spent(wall_s, max(_waited_for() - before, sum(ticks.values()) * _TICK_S), peak, text)


def peak_bytes(pid: int | None = None) -> int:
    """Return the most memory that a process, by default this one, has held (Linux tells it)."""
    return _status(pid, "VmHWM")


def resident_bytes(pid: int | None = None) -> int:
    """Return the memory that a process, by default this one, holds now."""
    return _status(pid, "VmRSS")


def forget_peak() -> None:
    """Let this process's peak begin anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _family(root: int) -> dict[int, int]:
    """Return the clock ticks of a process and of all that descend from it, by number."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: ticks.get(pid, 0) for pid in found}


def _status(pid: int | None, name: str) -> int:
    try:
        text = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(x.split()[1]) * 1024 for x in text.splitlines() if x.startswith(name)), 0)
