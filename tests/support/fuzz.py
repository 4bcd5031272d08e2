"""Send spoilt messages to a real worker, or to a coordinator's rounds, and say what became of them.

    python -m tests.support.fuzz [requests | replies]

Exit code 1: one was accepted, or the memory of who received them grew by more than 20 MB between
the 50th message and the last.
"""

import sys
import tempfile
from pathlib import Path

from tests.support.carrier_grid import CarrierGrid
from tests.support.coordinator import STUDY, Coordinator, census, fit, moments
from tests.support.fuzz_account import Account
from tests.support.fuzz_replies import fuzz_rounds
from tests.support.fuzz_requests import fuzz_worker
from tests.support.worker_process import NAME, WorkerSite

COUNT, SEED, MOST_GROWTH_MB = 500, 20, 20.0
RUN = "run-1"


def begun(site: WorkerSite, folder: Path) -> Coordinator:
    """Return the coordinator of a run of which the worker has answered rounds 1 and 3."""
    coordinator = Coordinator(folder, CarrierGrid({NAME: site.socket}), STUDY, site.key, run=RUN)
    for request in (
        census(STUDY, RUN),
        moments(STUDY, RUN),
        fit(STUDY, 1, RUN),
        fit(STUDY, 3, RUN),
    ):
        if coordinator.ask(request) is None:
            raise RuntimeError(f"the worker did not answer: {site.log()}")
    return coordinator


def requests(folder: Path) -> Account:
    """Start a worker and spoil what it is sent."""
    with WorkerSite(folder / "site") as site:
        site.approve(STUDY)
        begun(site, folder)
        return fuzz_worker(site, RUN, COUNT, SEED)


def replies(folder: Path) -> Account:
    """Spoil what comes back to this process."""
    return fuzz_rounds(folder, COUNT, SEED)


def main(which: str) -> int:
    """Do one or both; return the exit code."""
    code = 0
    for name, send in (("replies", replies), ("requests", requests)):
        if which in ("", name):
            with tempfile.TemporaryDirectory() as folder:
                account = send(Path(folder))
            print(f"{name}: {account}")
            code |= bool(account.accepted or account.growth_mb > MOST_GROWTH_MB)
    return code


if __name__ == "__main__":
    sys.exit(main("".join(sys.argv[1:2])))
