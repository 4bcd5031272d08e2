"""`front/start.json`: what `leukofed-server start` says of itself to the other commands."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common.whole_file import write_whole
from server.federation import Federation


@dataclass(frozen=True)
class Part:
    """Front or SuperLink."""

    pid: int | None
    """Its process; None while it does not run."""
    starts: int
    """How often it was started."""
    answers: bool
    """Whether it answered at the last look."""


@dataclass(frozen=True)
class ServicesNow:
    """What runs since when, and what is the matter."""

    pid: int
    """The process of `leukofed-server start`."""
    since: str
    """When it began, ISO 8601."""
    seen: str
    """When it last looked, ISO 8601."""
    front: Part
    link: Part
    database_bytes: int = 0
    """What the SuperLink's database takes on disk."""
    troubles: Sequence[str] = ()
    """What is the matter now, in sentences."""
    last_trouble: str = ""
    """The newest that was the matter, with its time; empty: nothing was."""


def services_file(federation: Federation) -> Path:
    """Return where it lies."""
    return federation.front / "start.json"


def write_services(federation: Federation, now: ServicesNow) -> None:
    """Write it, for its owner alone.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(asdict(now), indent=2) + "\n"
    write_whole(services_file(federation), text.encode(), mode=0o600)


def read_services(federation: Federation) -> ServicesNow | None:
    """Return what it says; None if `leukofed-server start` does not run, or never did."""
    try:
        found = json.loads(services_file(federation).read_bytes())
        front, link = Part(**found.pop("front")), Part(**found.pop("link"))
        now = ServicesNow(front=front, link=link, **found)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return now if _runs(now.pid) else None


def _runs(pid: int) -> bool:
    """Whether a process may be `leukofed-server start`: a number may be another's by now."""
    words = Path(f"/proc/{pid}/cmdline")
    try:
        return not Path("/proc/self").exists() or b"start" in words.read_bytes()
    except OSError:
        return False
