"""The egress log: a line for every passage through the door, each chained to the one before.

What the hospital has forgotten is a line as well: the log then tells why the outbox lacks bytes.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import ValidationError

from client.egress.forgotten import Forgotten
from common.digests import canonical_json, digest_bytes
from common.errors import CorruptFile
from common.log_head import EMPTY, LogHead
from common.study.strict import Strict
from common.whole_file import write_whole
from common.wire import Request, decode_reply

_BLOCK = 1 << 16  # bytes read at once, from the end backwards


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
    """Size of what left, without the head of this log."""
    sha256: str
    """Digest of the bytes that left, without the head of this log that went before them."""
    seconds: float = 0.0
    """Of work, as the coordinator was told."""
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
        seconds=content.seconds,
        problem=content.problem,
        local_detail=local_detail,
    )


@dataclass(frozen=True)
class Line:
    """An entry as it stands in the log."""

    stored: bytes
    """What is stored: canonical JSON, without its line end."""
    head: LogHead
    """The line's number, and the digest of what is stored: the log's head while it was the last."""
    previous: str
    """Digest of the line before; in the first line, that of an empty log's head."""
    entry: Passage | Forgotten

    @property
    def passage(self) -> Passage | None:
        """What left with this line; None if the line tells of something else."""
        return self.entry if isinstance(self.entry, Passage) else None


class EgressLog:
    """The log of one site: a chain of lines, and beside it a file that holds its head.

    A line is written whole or, if the process is killed, cut off; a cut-off last line stands for
    bytes that never left, so readers pass over it and the next line replaces it. The head's file
    follows each line. A process killed in between leaves it one line behind, which is no fault.

    Args:
        path: the file; it and its folder come into being with the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head_path = path.with_suffix(".head")

    @property
    def head(self) -> LogHead:
        """The head of the lines that the log holds; only the last one is read.

        Raises:
            CorruptFile: the last line cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return _end(file)[0]
        except FileNotFoundError:
            return EMPTY

    @property
    def kept_head(self) -> LogHead | None:
        """The head in the file beside the log, None if there is no such file.

        Raises:
            CorruptFile: it cannot be read.
        """
        try:
            return LogHead.model_validate_json(self._head_path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise CorruptFile(
                f"{self._head_path.name}, which tells the head of the egress log, is damaged",
                fix="restore it from a backup; keep the damaged file as evidence",
                local_detail=str(self._head_path),
            ) from error

    def append(self, entry: Passage | Forgotten) -> LogHead:
        """Append a line, chained to the one before; it is on the disk when this returns.

        Returns:
            The log's head, which is this line.

        Raises:
            CorruptFile: the last line cannot be read, so none can be chained to it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            before, torn = _end(file)
            file.truncate(file.seek(0, os.SEEK_END) - torn)
            number = before.lines + 1
            data = canonical_json(
                entry.model_dump(mode="json") | {"number": number, "previous": before.digest}
            )
            file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        head = LogHead(lines=number, digest=digest_bytes(data))
        self._keep(head, before)
        return head

    def __contains__(self, passage: Passage) -> bool:
        """Say whether a passage stands in the log; the newest lines are looked at first.

        Raises:
            CorruptFile: a line that may be this passage cannot be read.
        """
        asked = passage.request.encode()
        try:
            with self.path.open("rb") as file:
                lines = islice(_backwards(file), 1, None)
                return any(
                    _parsed(raw, "a line", file.name).passage == passage
                    for raw in lines
                    if asked in raw
                )
        except FileNotFoundError:
            return False

    def bytes_since(self, time: str) -> int:
        """Add up the bytes of the passages since a time; only the newest lines are read.

        Args:
            time: UTC, ISO 8601, as the lines have it.

        Raises:
            CorruptFile: one of them cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                lines = islice(_backwards(file), 1, None)
                entries = (_parsed(raw, "a line", file.name).entry for raw in lines)
                newer = takewhile(lambda entry: entry.time >= time, entries)
                return sum(left.bytes for left in newer if isinstance(left, Passage))
        except FileNotFoundError:
            return 0

    def __iter__(self) -> Iterator[Passage]:
        """Yield every passage, oldest first; lines of another kind are left out.

        Raises:
            CorruptFile: as `lines` says.
        """
        return (line.passage for line in self.lines() if line.passage is not None)

    def lines(self) -> Iterator[Line]:
        """Yield every line, oldest first; whether they fit together is not looked at.

        Raises:
            CorruptFile: the log, or a line other than a cut-off last one, cannot be read.
        """
        try:
            for number, raw in enumerate(self._whole_lines(), start=1):
                yield _parsed(raw, f"line {number}", str(self.path))
        except OSError as error:
            raise CorruptFile(
                f"the egress log cannot be read: {error.strerror}",
                fix="correct its permissions",
                local_detail=str(self.path),
            ) from error

    def _whole_lines(self) -> Iterator[bytes]:
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from (raw[:-1] for raw in file if raw.endswith(b"\n"))

    def _keep(self, head: LogHead, before: LogHead) -> None:
        # A head that this log does not hold is left in its place: it shows that the log was
        # changed, and would be lost with the first line that is written after the change.
        with suppress(CorruptFile):
            kept = self.kept_head
            if kept in (None, before) or self._holds(kept):
                write_whole(self._head_path, canonical_json(head.model_dump()) + b"\n")

    def _holds(self, head: LogHead) -> bool:
        lines = islice(self._whole_lines(), max(head.lines - 1, 0), None)
        return head == EMPTY or digest_bytes(next(lines, b"")) == head.digest


def _end(file: IO[bytes]) -> tuple[LogHead, int]:
    """Return a log's head, and how many bytes of a cut-off line follow its last whole line."""
    lines = _backwards(file)
    torn = len(next(lines))
    last = next(lines, None)
    if last is None:
        return EMPTY, torn
    return _parsed(last, "the last line", file.name).head, torn


def _backwards(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what follows the last line end, often nothing, then each whole line, newest first."""
    position, rest = file.seek(0, os.SEEK_END), b""
    while position:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        rest, *lines = (file.read(size) + rest).split(b"\n")
        yield from reversed(lines)
    yield rest


def _parsed(raw: bytes, which: str, local_detail: str = "") -> Line:
    with suppress(ValueError, RecursionError):
        match json.loads(raw):
            case {"number": int(number), "previous": str(previous), **fields}:
                head = LogHead(lines=number, digest=digest_bytes(raw))
                kind = Forgotten if fields.get("event") == "forgotten" else Passage
                return Line(raw, head, previous, kind.model_validate(fields))
    raise CorruptFile(
        f"{which} of the egress log is not one that this software wrote",
        fix="restore the log from a backup; keep the damaged file as evidence",
        local_detail=local_detail,
    )
