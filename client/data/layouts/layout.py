"""The shape that all layouts share: a folder's files, a row for each image, and what is told."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from common.errors import DataError
from common.imaging.decode import IMAGE_SUFFIXES

Watch = Callable[[str, int, int], None]
"""Told what is done now, how much of it is done, and of how much."""
_SHOWN = 20  # files named in an error; the rest is counted


def unwatched(what: str, done: int, of: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Row:
    """One image: what the manifest will say of it."""

    path: Path  # inside the folder
    label: str
    columns: Mapping[str, str] = field(default_factory=dict)  # patient, slide, field and others


@dataclass(frozen=True)
class Folder:
    """The files below a folder, sorted; without dotfiles, and without links to folders."""

    path: Path
    files: tuple[Path, ...]  # relative to it
    watch: Watch = unwatched  # told what is done that takes long

    @cached_property
    def images(self) -> tuple[Path, ...]:
        """The files that are named as images are."""
        return tuple(file for file in self.files if file.suffix.lower() in IMAGE_SUFFIXES)

    def named(self, suffix: str) -> list[Path]:
        """Return the files with a suffix in any case, for example `.csv`."""
        return [file for file in self.files if file.suffix.lower() == suffix]


@dataclass(frozen=True)
class Layout:
    """How one dataset lies on disk."""

    name: str
    title: str
    classes: tuple[str, ...]  # its labels; empty: whatever its folders are called
    recognises: Callable[[Folder], bool]
    rows: Callable[[Folder], Iterator[Row]]
    note: str = ""  # what whoever uses it must know


def open_folder(path: Path, watch: Watch = unwatched) -> Folder:
    """List the files below a folder.

    Args:
        path: the folder.
        watch: shows progress of what takes long later on.

    Raises:
        DataError: there is no such folder, or a part of it cannot be listed.
    """
    if not path.is_dir():
        raise DataError(
            "the image folder does not exist",
            fix="name the folder that holds the images",
            local_detail=str(path),
        )
    refused: list[OSError] = []
    files: list[Path] = []
    for place, folders, names in os.walk(path, onerror=refused.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(place).relative_to(path)
        files += [here / name for name in names if not name.startswith(".")]
    if refused:
        raise DataError(
            f"{len(refused)} folders cannot be listed",
            fix="let this user read them",
            local_detail="\n".join(map(str, refused[:_SHOWN])),
        )
    return Folder(path, tuple(sorted(file for file in files if (path / file).is_file())), watch)


def refuse(problem: str, fix: str, lines: Sequence[object]) -> DataError:
    """Return an error that counts in what travels, and names files at home only."""
    more = [f"and {len(lines) - _SHOWN} more"] if lines[_SHOWN:] else []
    return DataError(problem, fix=fix, local_detail="\n".join(map(str, [*lines[:_SHOWN], *more])))
