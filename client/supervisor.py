"""`leukofed-site run`: a site's worker and its link to the coordinator, kept running together."""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from client.desk import look
from client.joining import expiry_warnings
from client.link import PATIENCE, Link, Patience
from client.site_folder import SiteFolder
from common.errors import LeukofedError
from common.supervision import Ending, Kept, Verdict, plain_verdict

_LOG = logging.getLogger("leukofed.supervisor")
_TICK_S = 1.0
_LOOK_EVERY_S = 5.0
_DAY_S = 86_400.0
_STOP_S = 90.0  # the worker may take 60 s to leave its batch


class Supervisor:
    """A site's processes, kept running.

    Args:
        folder: the site's.
        logs: folder of the logs.
        worker: what stands before the worker's command; None: another supervisor keeps it.
        carrier: what stands before the SuperNode's; None: another supervisor keeps it.
        patience: with what is silent.

    Raises:
        ConfigError: as `client.link.Link` says.
    """

    def __init__(
        self,
        folder: SiteFolder,
        logs: Path,
        *,
        worker: Sequence[str] | None = (),
        carrier: Sequence[str] | None = (),
        patience: Patience = PATIENCE,
    ) -> None:
        self._folder = folder
        self._worker_answers: bool | None = None
        self._worker = None if worker is None else _kept_worker(folder, logs, worker)
        self._link = None
        if carrier is not None:
            self._link = Link(folder, logs, carrier, lambda: bool(self._worker_answers), patience)

    def run(self, stopping: threading.Event) -> None:
        """Keep the processes running until told to stop, then end them."""
        with ExitStack() as ends:
            if self._worker is not None:
                ends.callback(self._worker.stop)
                self._worker.start()
            if self._link is not None:
                ends.callback(self._link.close)
                self._link.start()
            looked = noticed = time.monotonic() - _DAY_S
            while not stopping.is_set():
                if self._link is not None:
                    self._link.watch()
                now = time.monotonic()
                if now - looked >= _LOOK_EVERY_S or not self._worker_answers:
                    looked = now
                    self._look_after_worker()
                if now - noticed >= _DAY_S:
                    noticed = now
                    for notice in expiry_warnings(self._folder):
                        _LOG.warning("%s", notice)
                stopping.wait(_TICK_S)
            _LOG.info("stopping")

    def _look_after_worker(self) -> None:
        answers = self._asked_worker()
        if answers != self._worker_answers and (answers or self._worker_answers):
            _LOG.info("the worker answers" if answers else "the worker does not answer")
        self._worker_answers = answers

    def _asked_worker(self) -> bool:
        """Ask the worker whether it is there.

        One that another supervisor keeps is another user's: the carrier may not use its desk, but
        a connection to its other socket tells.
        """
        if self._worker is not None:
            with suppress(LeukofedError):
                look(self._folder.desk)
                return True
            return False
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(self._folder.socket.resolve()))
            return True
        return False


def _kept_worker(folder: SiteFolder, logs: Path, before: Sequence[str]) -> Kept:
    command = [
        *before, Path(sys.executable).parent / "leukofed-site", "worker",
        "--site", folder.path.resolve(),
    ]  # fmt: skip
    home = {"HOME": str(folder.path.resolve())} if before else {}
    return Kept(
        "worker",
        lambda: command,
        logs / "worker.log",
        environment={**os.environ, **home},
        folder=folder.path.resolve(),
        verdict=_verdict,
        patience_s=_STOP_S,
    )


def _verdict(ending: Ending) -> Verdict:
    return Verdict(f"{plain_verdict(ending).words}; logs/worker.log says why")
