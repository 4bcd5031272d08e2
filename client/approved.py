"""The studies that this hospital approved: signed study files in one folder."""

import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import LeukofedError
from common.proposal import read_proposal
from common.study.schema import Study

_LOG = logging.getLogger("leukofed.approved")
# Of a file: inode, size, and when it was last changed, or let be read: its own time of change
# (mtime) is not touched by the latter, and can be put back.
_Stamp = tuple[int, int, int]


class ApprovedStudies(Mapping[str, Study]):
    """The studies of a folder by digest, as the folder is now.

    Putting a file there approves its study, taking it away withdraws it; the worker need not be
    restarted. A file that is no study signed by the coordinator approves nothing, and the log
    says why, once.

    Args:
        folder: holds `*.yaml`.
        key: the coordinator's public key.
    """

    def __init__(self, folder: Path, key: Ed25519PublicKey) -> None:
        self.folder = folder
        self._key = key
        self._read: dict[Path, tuple[_Stamp, Study | None]] = {}
        self._reading = threading.Lock()

    def __getitem__(self, digest: str) -> Study:
        return self._studies()[digest]

    def __iter__(self) -> Iterator[str]:
        return iter(self._studies())

    def __len__(self) -> int:
        return len(self._studies())

    def _studies(self) -> dict[str, Study]:
        with self._reading:
            before, self._read = self._read, {}
            for path in sorted(self.folder.glob("*.yaml")):
                try:
                    status = path.stat()
                    stamp = (status.st_ino, status.st_size, status.st_ctime_ns)
                    known = before.get(path)
                    if known is None or known[0] != stamp:
                        known = (stamp, self._load(path))
                except OSError:
                    continue  # taken away since it was listed
                self._read[path] = known
            studies = [study for _, study in self._read.values() if study is not None]
        return {study.digest: study for study in studies}

    def _load(self, path: Path) -> Study | None:
        try:
            study = read_proposal(path, self._key)
        except LeukofedError as error:
            _LOG.warning("%s approves nothing: %s", path.name, error.problem)
            return None
        _LOG.info("study %s (%s) is approved", study.digest[:12], study.name)
        return study
