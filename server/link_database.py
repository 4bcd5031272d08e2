"""The SuperLink's database, read from outside: which runs wait, and how much of it is waste.

Asking Flower takes a process and a second or two of processor time; this costs nothing, so that it
can be done every few seconds. The tables are those of flwr 1.41, which the installation pins.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from common.errors import LeukofedError

_PATIENCE_S = 5.0
_ACTIVE = """\
SELECT pending_at, starting_at, active_until FROM task
WHERE type = 'flwr-serverapp' AND finished_at IS NULL"""
# Pieces of messages: nearly all of the database, and of no use to a run that is over.
_CONTENT = ("object_children", "run_objects", "objects")


class DatabaseError(LeukofedError):
    """The SuperLink's database cannot be read or written."""


@dataclass(frozen=True)
class RunsNow:
    """How the runs stand that have not finished."""

    active: int = 0
    """Runs whose ServerApp is starting or alive."""
    pending: int = 0
    """Runs that nobody has begun."""
    pending_s: float = 0.0
    """How long the first of these has waited, in seconds."""


def runs_now(database: Path, now: datetime | None = None) -> RunsNow:
    """Look which runs are under way.

    A ServerApp that died counts as active until its lease is over, a minute at most; Flower itself
    only finds out when somebody asks for the run.

    Raises:
        DatabaseError: it cannot be read.
    """
    if not database.exists():
        return RunsNow()
    here = datetime.now(UTC) if now is None else now
    with _opened(database, "ro") as base:
        return _runs(base, here)


def size_bytes(database: Path) -> int:
    """Return what the database takes on disk, with what SQLite keeps beside it."""
    size = 0
    for part in (database, *(Path(f"{database}{end}") for end in ("-wal", "-shm", "-journal"))):
        with suppress(FileNotFoundError):
            size += part.stat().st_size
    return size


def compact(database: Path) -> tuple[int, int]:
    """Give back the room that the database does not need; the SuperLink may go on meanwhile.

    Flower deletes the pieces of messages once they were fetched, or their run was stopped, and
    keeps the room; those of a run whose ServerApp died may stay. Sites, keys, runs and their logs
    are not touched. SQLite's VACUUM copies what is left and puts it back as one transaction: a
    crash leaves the old content or the new.

    Returns:
        Its size before and after, in bytes; the same if a run is active or waits.

    Raises:
        DatabaseError: another process writes at this moment, or the disk has no room for a copy.
    """
    before = size_bytes(database)
    with _opened(database, "rw") as base:
        base.execute("BEGIN IMMEDIATE")  # so that no run can begin between look and deed
        if _runs(base, datetime.now(UTC)) != RunsNow():
            base.execute("ROLLBACK")
            return before, before
        for table in _CONTENT:
            base.execute(f"DELETE FROM {table}")
        base.execute("COMMIT")
        base.execute("VACUUM")
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, size_bytes(database)


def _runs(base: sqlite3.Connection, now: datetime) -> RunsNow:
    rows = base.execute(_ACTIVE).fetchall()
    waits = [(now - _time(pending)).total_seconds() for pending, begun, _ in rows if not begun]
    alive = [1 for _, begun, until in rows if begun and (until is None or _time(until) > now)]
    return RunsNow(len(alive), len(waits), max(waits, default=0.0))


@contextmanager
def _opened(database: Path, mode: str) -> Iterator[sqlite3.Connection]:
    place = f"file:{quote(str(database.resolve()))}?mode={mode}"
    try:
        base = sqlite3.connect(place, uri=True, timeout=_PATIENCE_S, isolation_level=None)
        with closing(base):
            yield base
    except sqlite3.Error as error:
        raise DatabaseError(
            f"the SuperLink's database does not answer: {error}",
            fix="see that its disk is not full, and that flwr is the version of constraints.txt",
            local_detail=str(database),
        ) from error


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
