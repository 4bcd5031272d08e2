"""The release bundle: all that `leukofed-site predict` needs, written, verified and read."""

import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from common.digests import digest_bytes
from common.errors import CorruptFile, RunStopped
from common.study.schema import Study
from common.yaml_file import dump_yaml

Arrays = Mapping[str, NDArray[Any]]
SUMS = "SHA256SUMS"
# What reading a damaged zip can raise; RuntimeError: an entry calls itself encrypted.
_UNREADABLE = (
    OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
FILES = (
    "backbones.safetensors", "fusion.safetensors", "booster.ubj", "study.yaml", "labels.json",
    "metrics.json", "record.jsonl", "MODEL_CARD.md", "DATASHEET.md",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Release:
    """A trained model, and what must be known about it."""

    backbones: Arrays  # frozen fronts, BatchNorm constants, tails and heads
    fusion: Arrays  # H1, H2, their softmax head, and what standardises the features
    booster: bytes  # XGBoost's UBJ
    study: Study
    metrics: Mapping[str, Any]  # plain data
    record: bytes  # the run's account, JSON lines
    card: str  # Markdown
    sheet: str  # of the data, Markdown

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the model's outputs."""
        return self.study.labels.classes


def write_release(folder: Path, release: Release) -> Path:
    """Write a bundle, and the same bundle as a zip beside it.

    Both appear whole or not at all, and have the same bytes whenever they are written.

    Args:
        folder: the bundle; must not exist, nor must the zip `FOLDER.zip`.
        release: what to write.

    Returns:
        The zip.

    Raises:
        RunStopped: one of them exists, or they cannot be written.
    """
    archive = folder.with_name(f"{folder.name}.zip")
    for place in (folder, archive):
        if place.exists():
            raise RunStopped(
                f"{place.name} exists already",
                fix="move it away; a release is never overwritten",
                local_detail=str(place),
            )
    contents = _contents(release)
    part, part_archive = (place.with_name(f".{place.name}.part") for place in (folder, archive))
    try:
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(parents=True)
        for name, data in contents.items():
            (part / name).write_bytes(data)
        _write_zip(part_archive, folder.name, contents)
        part_archive.replace(archive)
        part.replace(folder)
    except OSError as error:
        raise RunStopped(
            f"the release cannot be written: {error.strerror}",
            fix="make room on the disk or correct its permissions, then resume the run",
            local_detail=str(folder),
        ) from error
    return archive


def verify_release(bundle: Path) -> None:
    """Check that a bundle, folder or zip, holds exactly what was written.

    This finds damage. Whoever can rewrite the files can rewrite `SHA256SUMS` too.

    Raises:
        CorruptFile: the bundle cannot be read, or a file is changed, missing or extra; all are
            named.
    """
    _verified(bundle)


def read_release(bundle: Path) -> Release:
    """Verify a bundle, folder or zip, and read it.

    Raises:
        CorruptFile: as `verify_release`, or another version of leukofed wrote it.
    """
    files = _verified(bundle)
    try:
        return Release(
            backbones=load_safetensors(files["backbones.safetensors"]),
            fusion=load_safetensors(files["fusion.safetensors"]),
            booster=files["booster.ubj"],
            study=Study.model_validate(yaml.safe_load(files["study.yaml"])),
            metrics=json.loads(files["metrics.json"]),
            record=files["record.jsonl"],
            card=files["MODEL_CARD.md"].decode(),
            sheet=files["DATASHEET.md"].decode(),
        )
    except (SafetensorError, ValidationError, yaml.YAMLError, ValueError) as error:
        raise CorruptFile(
            "the release is undamaged, but this version of leukofed cannot read it",
            fix="use the leukofed version that the model card names",
            local_detail=f"{bundle}: {error}",
        ) from error


def _contents(release: Release) -> dict[str, bytes]:
    labels = {"name": release.study.labels.name, "classes": list(release.classes)}
    contents = {
        "backbones.safetensors": _safetensors(release.backbones),
        "fusion.safetensors": _safetensors(release.fusion),
        "booster.ubj": release.booster,
        "study.yaml": dump_yaml(release.study).encode(),
        "labels.json": _json(labels),
        "metrics.json": _json(release.metrics),
        "record.jsonl": release.record,
        "MODEL_CARD.md": release.card.encode(),
        "DATASHEET.md": release.sheet.encode(),
    }
    sums = "".join(f"{digest_bytes(data)}  {name}\n" for name, data in sorted(contents.items()))
    return contents | {SUMS: sums.encode()}


def _safetensors(arrays: Arrays) -> bytes:
    return save_safetensors({name: np.asarray(a, order="C") for name, a in arrays.items()})


def _json(value: object) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _write_zip(path: Path, top: str, contents: Mapping[str, bytes]) -> None:
    # Stored, not deflated: float arrays hardly shrink, and zlib's output differs by version.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(f"{top}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, whatever writes it
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, contents[name])


def _verified(bundle: Path) -> dict[str, bytes]:
    wanted = (*FILES, SUMS)
    try:
        names, files = (_read_folder if bundle.is_dir() else _read_zip)(bundle, wanted)
        if not files:
            raise zipfile.BadZipFile("it holds no file of a release")
    except _UNREADABLE as error:
        raise CorruptFile(
            "the release cannot be read: it is no bundle and no zip of one",
            fix="check the path, or get the release again from the coordinator",
            local_detail=f"{bundle}: {error}",
        ) from error
    faults = [f"{name} is missing" for name in wanted if name not in files]
    faults += [f"{name} is extra" for name in names if name not in wanted]
    if SUMS in files:
        sums = files[SUMS].decode("utf-8", "replace").splitlines()
        faults += [
            f"{name} is changed"
            for name in FILES
            if name in files and f"{digest_bytes(files[name])}  {name}" not in sums
        ]
    if faults:
        raise CorruptFile(
            f"the release is damaged: {', '.join(faults)}",
            fix="get the release again from the coordinator",
            local_detail=str(bundle),
        )
    return files


def _read_folder(folder: Path, wanted: Sequence[str]) -> tuple[list[str], dict[str, bytes]]:
    found = {entry.name: entry for entry in folder.iterdir()}
    read = {name: found[name].read_bytes() for name in wanted if name in found}
    return sorted(found), read


def _read_zip(path: Path, wanted: Sequence[str]) -> tuple[list[str], dict[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        found = {entry.filename.partition("/")[2]: entry for entry in entries}
        if len({entry.filename.partition("/")[0] for entry in entries}) != 1:
            raise zipfile.BadZipFile("the zip holds more than one folder")
        if len(found) < len(entries):
            raise zipfile.BadZipFile("the zip holds a file twice")
        return sorted(found), {name: archive.read(found[name]) for name in wanted if name in found}
