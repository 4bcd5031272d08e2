"""The egress log: one line for every passage through the door, for the hospital to read."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import ValidationError

from common.digests import canonical_json, digest_bytes
from common.errors import CorruptFile
from common.record import read_record
from common.study.strict import Strict
from common.wire import Request, decode_reply


class Passage(Strict):
    """What left, when, and in answer to what."""

    time: str
    """UTC, ISO 8601."""
    site: str
    study: str
    """Digest of the study."""
    run: str
    phase: str
    round: int
    exchange: int
    ask: str
    """The kind of work that was asked for."""
    request: str
    """Digest of the request."""
    status: Literal["done", "refused", "needs-parts"]
    told: dict[str, Any] | None
    """The small typed values that left, in full."""
    arrays: int
    """Number of arrays that left."""
    dtypes: tuple[str, ...]
    """Their types."""
    elements: int
    """Their numbers, all together."""
    bytes: int
    sha256: str
    """Digest of the bytes that left."""
    problem: str = ""
    """Why the site declined, as the coordinator was told."""
    local_detail: str = ""
    """What more there is to say about it; this did not leave."""


def passage(request: Request, reply: bytes, local_detail: str = "") -> Passage:
    """Describe a reply from what its bytes hold, not from what its sender says of it."""
    content = decode_reply(reply)
    step = request.step
    return Passage(
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        site=step.site,
        study=step.study,
        run=step.run,
        phase=step.phase,
        round=step.round,
        exchange=step.exchange,
        ask=request.ask.kind,
        request=request.digest,
        status=content.status,
        told=None if content.told is None else content.told.model_dump(mode="json"),
        arrays=len(content.arrays),
        dtypes=tuple(sorted({array.dtype.name for array in content.arrays.values()})),
        elements=sum(array.size for array in content.arrays.values()),
        bytes=len(reply),
        sha256=digest_bytes(reply),
        problem=content.problem,
        local_detail=local_detail,
    )


class EgressLog:
    """The log of one site.

    A line is written whole or, if the process is killed, cut off; a cut-off last line stands for
    bytes that never left, so readers pass over it and the next line replaces it.

    Args:
        path: the file; it and its folder come into being with the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Passage) -> None:
        """Append a line; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            _cut_last_line(file)
            file.write(canonical_json(line.model_dump(mode="json")) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def __contains__(self, line: Passage) -> bool:
        return any(line == other for other in self)

    def __iter__(self) -> Iterator[Passage]:
        """Yield every line, oldest first.

        Raises:
            CorruptFile: a line other than a cut-off last one cannot be read.
        """
        if not self.path.exists():
            return
        for number, line in enumerate(read_record(self.path), start=1):
            try:
                yield Passage.model_validate(line)
            except ValidationError as error:
                raise CorruptFile(
                    f"line {number} of the egress log is not one that this software wrote",
                    fix="restore the log from a backup; keep the damaged file as evidence",
                    local_detail=str(self.path),
                ) from error


def _cut_last_line(file: IO[bytes]) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 1, 0))
    if file.read() not in (b"", b"\n"):
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
