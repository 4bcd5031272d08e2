"""What `leukofed-server start` looks at every few seconds, and what follows from it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.durations import duration
from server.certificates import expiry_warnings
from server.federation import Federation
from server.link_database import DatabaseError, RunsNow, runs_now, size_bytes

PENDING_S = 30.0
"""A run that nobody has begun after so long: what begins runs is dead."""
SILENT_S = 60.0
"""A SuperLink or front that does not answer for so long is looked at as dead."""
LEAST_FREE_BYTES = 500_000_000
"""Below this a round may not fit on the disk any more."""


@dataclass(frozen=True)
class Sight:
    """What was seen at one look."""

    front_silent_s: float = 0.0
    """How long the front has not answered as a site would hear it, in seconds."""
    link_silent_s: float = 0.0
    """How long the SuperLink has not answered, in seconds."""
    has_executor: bool | None = True
    """Whether what begins runs, the SuperLink's SuperExec, is alive; None: it cannot be told."""
    runs: RunsNow | None = None
    """Flower's runs; None: the database does not answer."""
    database_bytes: int = 0
    """The database's size on disk."""
    free_bytes: int = LEAST_FREE_BYTES
    """Room on the federation's disk."""
    link_renewed: bool = False
    """Whether the SuperLink's certificate is newer than the SuperLink."""
    warnings: Sequence[str] = ()
    """Certificates that end soon, in sentences."""
    sites_problem: str = ""
    """Why the SuperLink could not be told which sites there are; empty: it was."""


@dataclass(frozen=True)
class Trouble:
    """Something that is not as it should be."""

    kind: str
    """One word that stays the same while the trouble lasts."""
    words: str
    """What is the matter, and what to do or what will be done, in a sentence."""
    restart: bool = False
    """Whether starting the SuperLink anew ends it."""


def troubles(sight: Sight, most_database_bytes: float) -> list[Trouble]:
    """Say what is the matter.

    Args:
        sight: what was seen.
        most_database_bytes: how large the SuperLink's database may be.
    """
    found = [*_of_the_link(sight), *(Trouble(f"certificate-{n}", text)
             for n, text in enumerate(sight.warnings))]  # fmt: skip
    if sight.front_silent_s > SILENT_S:
        found.append(
            Trouble("front", f"sites have not reached the SuperLink through the front for "
                    f"{duration(sight.front_silent_s)}: see front/front.log")
        )  # fmt: skip
    if sight.free_bytes < LEAST_FREE_BYTES:
        found.append(
            Trouble("disk", f"{sight.free_bytes / 1e6:.0f} MB are free on the federation's disk: "
                    "make room, or the next round fails")
        )  # fmt: skip
    if sight.database_bytes > most_database_bytes and not is_idle(sight):
        found.append(
            Trouble("database", f"the SuperLink's database takes {sight.database_bytes / 1e6:.0f} "
                    "MB: it is made smaller when no run is active")
        )  # fmt: skip
    return found


def is_idle(sight: Sight) -> bool:
    """Whether no run is active or waits, as far as can be told."""
    return sight.runs is not None and sight.runs.active == sight.runs.pending == 0


def may_restart(sight: Sight) -> bool:
    """Whether starting the SuperLink anew costs no run: a run that waits survives it."""
    return sight.runs is not None and sight.runs.active == 0


def has_executor(link: int) -> bool | None:
    """Whether a SuperLink's SuperExec is alive; None: this system does not tell.

    Args:
        link: the SuperLink's process number.
    """
    try:
        found = [
            Path(f"/proc/{child}/cmdline").read_bytes()
            for task in Path(f"/proc/{link}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except OSError:
        return None
    return any(b"flower-superexec" in words for words in found)  # a zombie has no words


def seen_runs(federation: Federation) -> RunsNow | None:
    """Return how Flower's runs stand; None: the database does not answer."""
    try:
        return runs_now(federation.database)
    except DatabaseError:
        return None


def sight_of_disk(federation: Federation) -> tuple[int, int, list[str]]:
    """Return the database's size, the room on the disk, and what certificates say."""
    return (
        size_bytes(federation.database),
        shutil.disk_usage(federation.path).free,
        expiry_warnings(federation),
    )


def _of_the_link(sight: Sight) -> list[Trouble]:
    found = []
    if sight.runs is None:
        found.append(
            Trouble("blind", "the SuperLink's database does not answer: see that its disk is not "
                    "full, and that flwr is the version of constraints.txt")
        )  # fmt: skip
    if sight.link_silent_s > SILENT_S:
        found.append(
            Trouble("link", f"the SuperLink has not answered for {duration(sight.link_silent_s)}",
                    restart=True)
        )  # fmt: skip
    if sight.has_executor is False:
        found.append(
            Trouble("executor", "the SuperLink's SuperExec has died, so that no run can begin",
                    restart=True)
        )  # fmt: skip
    elif sight.runs is not None and sight.runs.pending_s > PENDING_S:
        found.append(
            Trouble("pending", f"a run has waited for {duration(sight.runs.pending_s)} and nothing "
                    "begins it", restart=True)
        )  # fmt: skip
    if sight.sites_problem:
        found.append(
            Trouble("sites", "the SuperLink may not know every admitted site: "
                    f"{sight.sites_problem}")
        )  # fmt: skip
    if sight.link_renewed:
        found.append(
            Trouble(
                "renewed",
                "the SuperLink's certificate is renewed: it is started anew with it "
                "when no run is active",
                restart=True,
            )
        )
    return found
