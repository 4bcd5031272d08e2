"""The account of a run: one JSON object a line, only ever appended to."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import CorruptFile, RunStopped


class Record:
    """Appends events to a record; a line cut off by a crash is removed when it is opened.

    Each event is handed to the operating system before `write` returns, so it outlives this
    process; a power failure may cost the last lines.

    Args:
        path: the file; it and its folder are made if absent.
        study: digest of the study, on every line.
        run: name of the run, on every line.

    Raises:
        RunStopped: the file cannot be written.
    """

    def __init__(self, path: Path, *, study: str, run: str) -> None:
        self.path = path
        self.study = study
        self.run = run
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as file:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, event: str, **facts: Any) -> None:
        """Append an event.

        Args:
            event: what happened, one word.
            facts: plain data. `study`, `run` and `time` are added and may not be given.

        Raises:
            RunStopped: the file cannot be written.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = dict(time=time, event=event, study=self.study, run=self.run, **facts)
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        try:
            with _undone(self.path), self.path.open("ab") as file:
                file.write(f"{text}\n".encode())
        except OSError as error:
            raise _unwritable(self.path, error) from error


@contextmanager
def _undone(path: Path) -> Iterator[None]:
    """Take away what a failed write has left: half a line would spoil the next one for good."""
    size = path.stat().st_size if path.exists() else 0
    try:
        yield
    except OSError:
        with suppress(OSError):
            os.truncate(path, size)
        raise


def read_record(path: Path) -> list[dict[str, Any]]:
    """Read the events of a record, oldest first; a last line that was cut off is left out.

    Raises:
        CorruptFile: the file cannot be read, or a line before the last is not a JSON object.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise CorruptFile(
            f"the record cannot be read: {error.strerror}",
            fix="check the path",
            local_detail=str(path),
        ) from error
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise CorruptFile(
                f"line {number} of the record is not a JSON object",
                fix="restore the record from a backup, or remove that line by hand",
                local_detail=str(path),
            )
        events.append(event)
    return events


def _unwritable(path: Path, error: OSError) -> RunStopped:
    return RunStopped(
        f"the record cannot be written: {error.strerror}",
        fix="make room on the disk or correct its permissions, then resume the run",
        local_detail=str(path),
    )
