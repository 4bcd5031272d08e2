"""The newest launch of every run that this site has taken a request of.

A request names no time, but its launch does. What an earlier launch signed, and somebody kept on
its way, must not be worked on once a later one of the same run has asked.
"""

import threading
from contextlib import suppress
from pathlib import Path

from common.digests import digest_value
from common.signing import Signed
from common.troubles import Trouble, Unanswered
from common.whole_file import write_whole


class Launches:
    """The newest launches of one site; they outlive the worker.

    Args:
        folder: holds one small file per run; comes into being with the first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._newest: dict[str, int] = {}
        self._lock = threading.Lock()

    def admit(self, signed: Signed) -> None:
        """Note a request's launch.

        Raises:
            Unanswered: a later launch of the same run has asked before, or the launches cannot be
                kept.
        """
        step = signed.request.step
        # A digest, because a run may be called `..`.
        run = digest_value([step.study, step.run, step.rehearsal])[:32]
        with self._lock:
            try:
                newest = max(self._newest.get(run, 0), self._kept(run))
                if signed.launch < newest:
                    raise Unanswered(Trouble.OUTDATED)
                if signed.launch > newest:
                    self._keep(run, signed.launch)
            except (OSError, ValueError) as error:
                detail = f"{self.folder / run}: {error}"
                raise Unanswered(Trouble.NO_RECORDS, local_detail=detail) from error
            self._newest[run] = signed.launch

    def _kept(self, run: str) -> int:
        with suppress(FileNotFoundError):
            return int((self.folder / run).read_bytes())
        return 0

    def _keep(self, run: str, launch: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / run, b"%d" % launch)
