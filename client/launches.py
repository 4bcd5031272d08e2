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
        self._lock = threading.Lock()

    def admit(self, signed: Signed) -> None:
        """Note a request's launch; what is noted is on the disk when this returns.

        Raises:
            Unanswered: a later launch of the same run has asked before.
            OSError: the launch cannot be noted.
        """
        step = signed.request.step
        # A digest, because a run may be called `..`.
        path = self.folder / digest_value([step.study, step.run])[:32]
        with self._lock:
            newest = -1
            with suppress(FileNotFoundError):
                newest = int(path.read_bytes(), 16)
            if signed.launch < newest:
                raise Unanswered(Trouble.OUTDATED)
            if signed.launch > newest:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_whole(path, b"%016x" % signed.launch)
