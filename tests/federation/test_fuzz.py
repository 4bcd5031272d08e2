"""Spoilt messages, hundreds of them: none is accepted, nobody dies, and memory stays level.

`python -m tests.support.fuzz` prints what became of each kind.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import fuzz
from tests.support.coordinator import STUDY, fit
from tests.support.fuzz_requests import fuzz_worker
from tests.support.processes import ROOT
from tests.support.worker_process import WorkerSite

pytestmark = pytest.mark.slow


def test_a_worker_accepts_no_spoilt_request_and_lives_on(tmp_path: Path) -> None:
    with WorkerSite(tmp_path / "site") as site:
        site.approve(STUDY)
        coordinator = fuzz.begun(site, tmp_path)
        pid, done, released = site.worker.pid, site.passages("done"), site.released()

        account = fuzz_worker(site, fuzz.RUN, fuzz.COUNT, fuzz.SEED)

        assert account.messages == fuzz.COUNT
        assert account.accepted == [], account
        assert account.growth_mb < fuzz.MOST_GROWTH_MB, account
        assert site.worker.is_alive
        assert site.worker.pid == pid
        assert "Traceback" not in site.log()
        assert site.passages("done") == done
        assert site.released() == released

        reply = coordinator.ask(fit(STUDY, 4, fuzz.RUN))
        assert reply is not None, account
        assert site.verify() == len(site.passages())
        assert site.released() == released | {(fuzz.RUN, "backbones", 4, 0)}


def test_rounds_accept_no_spoilt_reply_and_stop_for_no_other_reason_than_the_quorum() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.support.fuzz", "replies"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{fuzz.COUNT} messages" in done.stdout
