"""Where a simulation keeps what it does: a new folder, or the newest unfinished one."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

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

    def finish(self) -> None:
        """Note that nothing is left to do: the same command will start a new run."""
        _write(self.path, {**_read(self.path), "finished": True})


def open_run(out: Path, name: str, identity: str, *, fresh: bool) -> tuple[RunFolder, bool]:
    """Return the newest unfinished run of this identity, or a new one; tell which.

    Args:
        out: the folder of all runs; its link `latest` is set to the run.
        name: begins the name of a new folder.
        identity: digest of what would be done: scenario, study, data.
        fresh: start a new run in any case.

    Returns:
        The run, and whether it was begun before.
    """
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
    draft = folder / f"{_FILE}.tmp"
    draft.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / _FILE)
