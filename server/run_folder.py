"""Where a run keeps what it does: a new folder, or the newest unfinished one."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from common.errors import ConfigError
from common.whole_file import write_whole

_FILE = "run.json"


@dataclass(frozen=True)
class RunFolder:
    """One run's folder, and the name that marks its steps."""

    path: Path
    run: str

    @property
    def report(self) -> Path:
        """The page that the run ends in."""
        return self.path / "report.html"

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: its release stands, and is not written again."""
        return bool(_read(self.path).get("finished"))

    @property
    def is_locked(self) -> bool:
        """Whether a process works on it now."""
        try:
            with (self.path / "lock").open() as lock:
                # Shared: two who look do not see each other.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @contextmanager
    def locked(self, wait_s: float = 0.0) -> Iterator[None]:
        """Keep other processes from working on this run; a killed process holds nothing.

        Args:
            wait_s: how long to wait for one that is about to end, in seconds.

        Raises:
            ConfigError: another process works on it.
        """
        end = time.monotonic() + wait_s
        with (self.path / "lock").open("w") as lock:
            try:
                while not _taken(lock) and time.monotonic() < end:
                    time.sleep(0.5)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(
                    "another process works on this run",
                    fix="wait until it has ended, or start another run",
                    local_detail=str(self.path),
                ) from error
            yield

    def finish(self) -> None:
        """Note that nothing is left to do: the same command will start a new run."""
        _write(self.path, {**_read(self.path), "finished": True})


def _taken(lock: IO[str]) -> bool:
    """Take a lock, or take it again; tell whether it could be taken."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def open_run(out: Path, name: str, identity: str, *, fresh: bool) -> tuple[RunFolder, bool]:
    """Return the newest unfinished run of this identity, or a new one; tell which.

    Args:
        out: the folder of all runs; its link `latest` is set to the run.
        name: begins the name of a new folder.
        identity: digest of what would be done: the study; in a simulation its data too.
        fresh: start a new run in any case.

    Returns:
        The run, and whether it was begun before.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    try:
        return _opened(out, name, identity, fresh)
    except OSError as error:
        raise ConfigError(
            f"the folder of runs cannot be written to: {error.strerror}",
            fix="name another folder of runs, or correct what is in the way",
            local_detail=str(error.filename or out),
        ) from error


def _opened(out: Path, name: str, identity: str, fresh: bool) -> tuple[RunFolder, bool]:
    out.mkdir(parents=True, exist_ok=True)
    unfinished = [] if fresh else [
        path.parent
        for path in sorted(out.glob(f"{name}-*/{_FILE}"))
        if (facts := _read(path.parent)).get("identity") == identity and not facts.get("finished")
    ]  # fmt: skip
    if unfinished:
        folder = unfinished[-1]
    else:
        folder = _new(out, name)
        _write(folder, {"identity": identity, "finished": False})
    _link(out / "latest", folder)
    return RunFolder(folder, folder.name), bool(unfinished)


def _new(out: Path, name: str) -> Path:
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    for attempt in range(1, 1000):
        folder = out / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(stem)


def _link(link: Path, folder: Path) -> None:
    draft = link.with_name(f".{link.name}-{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name, target_is_directory=True)
    draft.replace(link)


def _read(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / _FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def _write(folder: Path, facts: dict[str, object]) -> None:
    write_whole(folder / _FILE, f"{json.dumps(facts, indent=1)}\n".encode())
