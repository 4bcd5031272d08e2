"""Seconds and memory: of a piece of work in this process, or of a command in one of its own."""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Spent:
    """What some work took."""

    wall_s: float
    cpu_s: float  # of all threads together; other work on the machine disturbs it less
    peak_bytes: int = 0  # most memory that its process held
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

    Its peak is what the kernel says of its own address space: `ru_maxrss` would begin at this
    process's. Seconds are of its children, too, memory is not.

    Raises:
        RuntimeError: it failed; with the end of what it printed.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    peak, words = 0, [str(word) for word in command]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **(environment or {})},
    ) as process:  # fmt: skip
        text = ""
        while process.poll() is None:
            peak = max(peak, peak_bytes(process.pid))
            try:
                text, _ = process.communicate(timeout=_LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
    wall_s = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{text[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(wall_s, cpu_s, peak, text)


def peak_bytes(pid: int | None = None) -> int:
    """Return the most memory that a process, by default this one, has held (Linux tells it)."""
    return _status(pid, "VmHWM")


def resident_bytes(pid: int | None = None) -> int:
    """Return the memory that a process, by default this one, holds now."""
    return _status(pid, "VmRSS")


def forget_peak() -> None:
    """Let this process's peak begin anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(pid: int | None, name: str) -> int:
    try:
        text = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:  # it has just ended
        return 0
    return next((int(x.split()[1]) * 1024 for x in text.splitlines() if x.startswith(name)), 0)
