"""Run the small scenario in a process that kills itself, by SIGKILL, at one moment.

    python -m tests.support.killed SCENARIO FOLDER MOMENT

MOMENT is `PHASE:N`, the N-th time that this process sees something of a phase: its beginning, a
site asked, a reply taken in, an image that has passed the frozen fronts. `-` runs to the end.
"""

import os
import signal
import sys
from pathlib import Path

from tests.support.small_scenario import run_small


class Fuse:
    """A watch that ends the process at its moment."""

    def __init__(self, moment: str) -> None:
        phase, _, number = moment.rpartition(":")
        self.phase_wanted = phase
        self.left = int(number or 0)
        self.at = ""

    def _seen(self) -> None:
        if self.phase_wanted and self.phase_wanted in self.at:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def phase(self, name: str, rounds_total: int) -> None:
        self.at = name
        self._seen()

    def round(self, phase: str, round: int, of: int) -> None:
        self.at = phase
        self._seen()

    def site(self, phase: str, round: int, site: str, status: str, seconds: float) -> None:
        self._seen()

    def work(self, worker: str, done: int, of: int) -> None:
        self._seen()

    def note(self, text: str) -> None:
        print(text)


if __name__ == "__main__":
    run_small(Path(sys.argv[1]), Path(sys.argv[2]), Fuse(sys.argv[3].removeprefix("-")))
