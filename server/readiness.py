"""What must be so before a run begins: study, sites, disk, and nothing else at work."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.errors import ConfigError, LeukofedError
from common.initial_model import read_initial
from common.proposal import read_proposal
from common.signing import read_key
from common.study.schema import Study, load_study
from server.federation import Federation
from server.proposals import FILES
from server.site_list import SiteState
from server.standing import Standing

PROPOSAL = "proposal.yaml"
_CHECKPOINTS = 12  # copies of the initial model that checkpoints and release hold at most
_SPARE_BYTES = 200_000_000  # record, report, and room for the SuperLink's database


def proposed(federation: Federation, name: str) -> tuple[Path, Study]:
    """Return the folder of a proposed study, and the study.

    Raises:
        ConfigError: there is none of this name, it is incomplete, or it was not signed as it is.
        CorruptFile: the initial model is not the one that the study pins.
    """
    folder = federation.studies / name
    there = sorted(path.parent.name for path in federation.studies.glob("*/study.yaml"))
    if name not in there:
        raise ConfigError(
            f"no study called {name!r} was proposed; those that were: {', '.join(there) or 'none'}",
            fix="name one of these, or propose it with `leukofed-server propose`",
            local_detail=str(folder),
        )
    absent = [file for file in (*FILES, PROPOSAL) if not (folder / file).is_file()]
    if absent:
        raise ConfigError(
            f"the study's folder lacks {', '.join(absent)}",
            fix="propose the study again with `leukofed-server propose`",
            local_detail=str(folder),
        )
    study = load_study(folder / "study.yaml")
    if study.initial_model is None:
        raise ConfigError(
            "the study does not pin an initial model",
            fix="propose the folder that `leukofed-sim init-model` wrote",
            local_detail=str(folder),
        )
    signed = read_proposal(folder / PROPOSAL, read_key(federation.signing_key).public_key())
    if signed.digest != study.digest:
        raise ConfigError(
            f"the study was changed after it was signed: {study.digest[:12]}, not "
            f"{signed.digest[:12]}",
            fix="propose the study again, and let the sites approve it",
            local_detail=str(folder),
        )
    read_initial(folder / "initial.safetensors", study.initial_model)
    return folder, study


def check_admitted(study: Study, admitted: Iterable[str]) -> None:
    """Check that all sites of a study are admitted.

    Raises:
        ConfigError: some are not.
    """
    if strangers := sorted(set(study.sites) - set(admitted)):
        raise ConfigError(
            f"the study's sites {', '.join(strangers)} are not admitted",
            fix="admit them with `leukofed-server admit REQUEST`, or propose a study without them",
        )


def check_alone(standings: Iterable[Standing]) -> None:
    """Check that no run is at work: a site works at one thing at a time.

    Raises:
        ConfigError: one is.
    """
    for one in standings:
        if one.is_active:
            raise ConfigError(
                f"{one.run} is {one.state}, and a site works at one thing at a time",
                fix=f"wait until it has finished, or `leukofed-server stop {one.run}`",
            )


def check_quorum(study: Study, nodes: Mapping[str, SiteState]) -> list[str]:
    """Check that a quorum of a study's sites is connected; return those that are missing.

    Raises:
        ConfigError: fewer are.
    """
    missing = [s for s in study.sites if s not in nodes or nodes[s].state != "online"]
    online = len(study.sites) - len(missing)
    if online < study.quorum:
        raise ConfigError(
            f"{online} of {len(study.sites)} sites are connected, and the quorum is "
            f"{study.quorum}; missing: {', '.join(missing)}",
            fix="see that `leukofed-site run` is running there, then launch again",
        )
    return missing


def check_disk(folder: Path, into: Path) -> None:
    """Check that there is room for a run: checkpoints, release and its archive.

    Args:
        folder: of the study.
        into: a folder that exists, on the disk that the run will be on.

    Raises:
        LeukofedError: there is not.
    """
    initial, fronts = ((folder / name).stat().st_size for name in FILES[1:])
    needed = _CHECKPOINTS * initial + 3 * fronts + _SPARE_BYTES
    free = shutil.disk_usage(into).free
    if free < needed:
        raise LeukofedError(
            f"a run of this study may take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            fix="make room on the disk of the federation's folder",
            local_detail=str(into),
        )
