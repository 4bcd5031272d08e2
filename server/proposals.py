"""Proposing a study: its folder in the federation, and the signed file that hospitals approve."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from common.errors import ConfigError
from common.forecast import traffic
from common.initial_model import InitialModel, read_fronts, read_initial
from common.proposal import proposal
from common.shapes import shapes_of
from common.signing import read_key
from common.sizes import size
from common.study.schema import Study, load_study
from common.whole_file import write_whole
from common.yaml_file import dump_yaml
from server.federation import Federation
from server.sites import admitted_sites

FILES = ("study.yaml", "initial.safetensors", "fronts.safetensors")
"""What `leukofed-sim init-model` writes, and a run needs."""


@dataclass(frozen=True)
class Proposed:
    """A study as it lies in the federation's folder."""

    study: Study
    folder: Path
    proposal: Path
    unknown: tuple[str, ...]
    """Sites of the study that are not admitted, or not any more."""


def pinned_study(path: Path) -> Study:
    """Read a study file that pins its initial model.

    Raises:
        ConfigError: it cannot be read, or pins none.
    """
    study = load_study(path)
    if study.initial_model is None:
        raise ConfigError(
            "the study does not pin an initial model",
            fix="run `leukofed-sim init-model STUDY`, and sign the study.yaml that it writes",
            local_detail=str(path),
        )
    return study


def propose(federation: Federation, given: Path, *, replace: bool = False) -> Proposed:
    """Take a study into the federation's folder, and sign it.

    The same study again only writes its proposal anew.

    Args:
        federation: whose key signs.
        given: the folder that `leukofed-sim init-model` wrote, or the study.yaml in it.
        replace: whether the study may take the place of another one of its name.

    Raises:
        ConfigError: the study pins no initial model, a file is missing, another study has its name,
            or the folder cannot be written to.
        CorruptFile: a file is not the one that the study pins.
    """
    source = given if given.is_dir() else given.parent
    study = pinned_study(source / "study.yaml" if given.is_dir() else given)
    absent = [name for name in FILES[1:] if not (source / name).is_file()]
    if absent:
        raise ConfigError(
            f"beside the study there is no {' and no '.join(absent)}",
            fix="name the folder that `leukofed-sim init-model STUDY --out DIR` wrote",
            local_detail=str(source),
        )
    initial = read_initial(source / "initial.safetensors", study.initial_model)
    read_fronts(source / "fronts.safetensors", initial.fronts)
    key = read_key(federation.signing_key)
    folder = federation.studies / study.name
    text = proposal(study, key, list(summary(study, initial)))
    _check_place(folder, study, replace=replace)
    try:
        _copy(source, folder, study)
        write_whole(folder / "proposal.yaml", text.encode())
    except OSError as error:
        raise ConfigError(
            f"the study's folder cannot be written: {error.strerror}",
            fix="make room on the disk, or correct the folder's permissions",
            local_detail=str(error.filename or folder),
        ) from error
    admitted = admitted_sites(federation)
    unknown = tuple(name for name in study.sites if name not in admitted)
    return Proposed(study, folder, folder / "proposal.yaml", unknown)


def summary(study: Study, initial: InitialModel) -> Iterator[str]:
    """Yield a few lines for whoever opens the proposal."""
    passing = traffic(study, shapes_of(initial))
    down, up = (sum(getattr(one, way) for one in passing) for way in ("down", "up"))
    yield ""
    yield f"Study {study.name}: a proposal of the federation's coordinator to its hospitals."
    yield f"Sites: {', '.join(study.sites)}; a round counts with {study.quorum} of them."
    yield f"Classes: {', '.join(study.labels.told())}."
    exchanges = (
        f"{phase} {len(list(own))}"
        for phase, own in groupby(passing, key=lambda one: one.planned.phase)
    )
    yield f"Exchanges with each site: {', '.join(exchanges)}; {len(passing)} in all."
    yield f"Bytes for each site: {size(down)} down, {size(up)} up. No image leaves a hospital."
    yield "`leukofed-site approve FILE` shows what it would do at a site, and asks."
    yield ""


def _check_place(folder: Path, study: Study, *, replace: bool) -> None:
    there = folder / "study.yaml"
    if replace or not there.is_file():
        return
    other = load_study(there).digest
    if other != study.digest:
        raise ConfigError(
            f"the federation has another study named {study.name}, with digest {other[:12]}",
            fix="give the study another name, or let it take the other's place with --replace; "
            "runs that were begun keep their own copy",
        )


def _copy(source: Path, folder: Path, study: Study) -> None:
    """Copy a study's files; study.yaml, which makes the folder a study, comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    if source.resolve() == folder.resolve():
        return
    for name in FILES[1:]:
        draft = folder / f".{name}.part"
        shutil.copyfile(source / name, draft)
        draft.replace(folder / name)
    write_whole(folder / "study.yaml", dump_yaml(study).encode())
