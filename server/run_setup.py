"""The folder of a new run: the study's files, and the launch file."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from common.errors import ConfigError
from common.study.schema import Study
from common.whole_file import write_whole
from server.federation import Federation
from server.launch import load_launch
from server.proposals import FILES
from server.readiness import PROPOSAL, check_admitted, check_disk
from server.sites import AdmittedSite
from server.standing import LAUNCH_FILE

_HEAD = "# Written by `leukofed-server`; docs/launch.md tells of each key.\n"


def prepare_run(
    federation: Federation,
    folder: Path,
    study: Study,
    sites: Mapping[str, AdmittedSite],
    *,
    run: str | None = None,
    rehearse: bool = False,
    deadline_hours: float | None = None,
) -> Path:
    """Make the folder of a new run, with its launch file.

    Args:
        federation: whose.
        folder: of the study, as `server.readiness.proposed` vouches for.
        study: the study.
        sites: those that were admitted.
        run: the run's name; by default the study's folder's with a number.
        rehearse: sites answer from generated images.
        deadline_hours: the longest wait of an exchange; by default the launch file's.

    Raises:
        ConfigError: sites are not admitted, there is a run of this name, or it cannot be written.
        LeukofedError: the disk is too full.
    """
    check_admitted(study, sites)
    try:
        federation.runs.mkdir(mode=0o700, exist_ok=True)
        check_disk(folder, federation.runs)
        path = _new_folder(federation.runs, folder.name, run, rehearse)
        for name in (*FILES, PROPOSAL):
            _link_or_copy(folder / name, path / name)
        launch = {
            "run": ".",
            "key": os.path.relpath(federation.signing_key, path),
            "sites": {name: sites[name].public_key for name in study.sites},
            **({"rehearse": True} if rehearse else {}),
            **({} if deadline_hours is None else {"deadline_hours": deadline_hours}),
        }
        _write_launch(path, launch)
    except OSError as error:
        raise ConfigError(
            f"the run's folder cannot be made: {error.strerror}",
            fix="work as the federation's owner, on a disk with room",
            local_detail=str(error.filename or federation.runs),
        ) from error
    load_launch(path / LAUNCH_FILE)
    return path


def renew_keys(path: Path, sites: Mapping[str, AdmittedSite]) -> list[str]:
    """Bring a run's launch file to the keys of today's register; return the sites that changed.

    A site that was admitted anew, with another key, can then take part in the rest of a run.
    """
    launch = yaml.safe_load((path / LAUNCH_FILE).read_bytes())
    changed = [
        name
        for name, key in launch["sites"].items()
        if name in sites and sites[name].public_key != key
    ]
    if changed:
        launch["sites"].update({name: sites[name].public_key for name in changed})
        _write_launch(path, launch)
    return changed


def _new_folder(into: Path, study: str, run: str | None, rehearse: bool) -> Path:
    if run is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", run):
            raise ConfigError(
                f"a run cannot be called {run!r}",
                fix="use letters, digits, dots, hyphens and underscores, at most 120",
            )
        if (into / run).exists():
            raise ConfigError(
                f"there is a run {run} already, and sites answer each of its steps once",
                fix=f"choose another name, or go on with it by `leukofed-server resume {run}`",
            )
        (into / run).mkdir(mode=0o700)
        return into / run
    stem = f"{study}-rehearsal" if rehearse else study
    taken = [re.fullmatch(rf"{re.escape(stem)}-(\d+)", path.name) for path in into.iterdir()]
    number = 1 + max((int(match[1]) for match in taken if match), default=0)
    path = into / f"{stem}-{number}"
    path.mkdir(mode=0o700)
    return path


def _link_or_copy(source: Path, target: Path) -> None:
    """Share a file that neither side changes in place, where the disk allows it."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _write_launch(path: Path, launch: Mapping[str, object]) -> None:
    text = f"{_HEAD}{yaml.safe_dump(dict(launch), sort_keys=False)}"
    write_whole(path / LAUNCH_FILE, text.encode(), mode=0o600)
