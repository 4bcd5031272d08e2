"""The state of a run on disk: saved after every round, whole or not at all.

A folder holds one small JSON file per checkpoint, `NNNN-phase-round.json`, numbered in order of
time, and `parts/DIGEST.safetensors`, the arrays. A part that did not change is shared between
checkpoints and not written again.
"""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.digests import Arrays, digest_arrays, digest_value
from common.errors import ConfigError, CorruptFile, RunStopped
from common.whole_file import write_whole

FORMAT = 1
KEPT = 2  # newest checkpoints; besides, the last of every phase is kept
_NAME = re.compile(r"(\d{4,})-([a-z]+)-(\d+)\.json")
_FIX = "delete the newest checkpoint file to resume from the one before"


@dataclass(frozen=True, eq=False)
class CodedStep:
    """How a part came from the one before it: all that a site which holds that one needs."""

    since: str  # digest of the part before
    coded: Arrays  # int8, as `common.updates.coding` makes it


@dataclass(frozen=True, eq=False)
class Part:
    """A set of arrays that is sent and saved as one, known by its digest."""

    digest: str
    arrays: Arrays
    step: CodedStep | None = None  # not saved: after a resume the part travels whole

    @classmethod
    def of(cls, arrays: Arrays, step: CodedStep | None = None) -> "Part":
        """Compute the digest of arrays that will not change any more."""
        return cls(digest_arrays(arrays), arrays, step)


@dataclass(eq=False)
class State:
    """What a run knows after a round; the run in progress changes it in place."""

    position: tuple[int, int]  # index of the phase, and its last finished round
    parts: dict[str, Part]
    facts: dict[str, Any]  # plain JSON data: tuples come back as lists


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: theirs alone; made when the first one is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sound: set[str] = set()  # parts that this process wrote or verified

    def save(self, state: State, study_digest: str, phase: str) -> Path:
        """Save a state, then delete what no kept checkpoint needs.

        A crash at any moment leaves the checkpoints before it as they were. Kept are the newest
        two and the last of every phase.

        Args:
            state: what is known.
            study_digest: of the study it belongs to.
            phase: name of the phase, for the file's name.

        Raises:
            RunStopped: the disk refuses.
        """
        content = {
            "format": FORMAT,
            "study": study_digest,
            "position": list(state.position),
            "parts": {name: part.digest for name, part in state.parts.items()},
            "facts": state.facts,
        }
        text = json.dumps({**content, "sha256": digest_value(content)}, indent=1, allow_nan=False)
        number = max((n for n, _ in self._listed()), default=0) + 1
        path = self.folder / f"{number:04}-{phase}-{state.position[1]}.json"
        try:
            (self.folder / "parts").mkdir(parents=True, exist_ok=True)
            for part in state.parts.values():
                if part.digest not in self._sound:
                    write_whole(self._part_file(part.digest), _packed(part.arrays))
                    self._sound.add(part.digest)
            write_whole(path, text.encode())
            listed = [path for _, path in self._listed()]
            last_of_phase = {path.name.split("-")[1]: path for path in listed}
            self._delete_unneeded([*listed[-KEPT:], *last_of_phase.values()])
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return path

    def prune(self) -> None:
        """Delete all but the newest checkpoint, of a run that will not be resumed.

        Raises:
            RunStopped: the disk refuses.
        """
        try:
            self._delete_unneeded([path for _, path in self._listed()][-1:])
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def latest(self, study_digest: str, *, note: Callable[[str], None]) -> State | None:
        """Load the newest checkpoint that is intact.

        Args:
            study_digest: of the study that is to go on.
            note: called with one sentence for every newer checkpoint that had to be skipped.

        Returns:
            The state, or None if nothing was saved yet.

        Raises:
            CorruptFile: there are checkpoints, and none is intact.
            ConfigError: the newest intact one belongs to another study.
        """
        listed = self._listed()
        for _, path in reversed(listed):
            try:
                study, state = self._load(path)
            except CorruptFile as error:
                note(f"checkpoint {path.name} is skipped: {error.problem}")
                continue
            if study != study_digest:
                raise ConfigError(
                    f"the checkpoints belong to study {study[:12]}, not {study_digest[:12]}",
                    fix="resume with the study file the run was started with, or start a new run",
                    local_detail=str(self.folder),
                )
            return state
        if listed:
            raise CorruptFile(
                f"none of the {len(listed)} checkpoints is intact",
                fix="restore the folder from a backup, or start a new run",
                local_detail=str(self.folder),
            )
        return None

    def _load(self, path: Path) -> tuple[str, State]:
        try:
            content = json.loads(path.read_bytes())
            if content.pop("sha256") != digest_value(content) or content["format"] != FORMAT:
                raise CorruptFile("it is not what was written", fix=_FIX, local_detail=str(path))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise CorruptFile("it cannot be read", fix=_FIX, local_detail=str(path)) from error
        parts = {name: self._load_part(name, digest) for name, digest in content["parts"].items()}
        phase, round = content["position"]
        return content["study"], State((phase, round), parts, content["facts"])

    def _load_part(self, name: str, digest: str) -> Part:
        path = self._part_file(digest)
        self._sound.discard(digest)
        try:
            arrays = load(path.read_bytes())
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise CorruptFile(
                f"its part {name!r} cannot be read", fix=_FIX, local_detail=str(path)
            ) from error
        if digest_arrays(arrays) != digest:
            raise CorruptFile(
                f"its part {name!r} is not what was written", fix=_FIX, local_detail=str(path)
            )
        self._sound.add(digest)
        return Part(digest, arrays)

    def _part_file(self, digest: str) -> Path:
        return self.folder / "parts" / f"{digest}.safetensors"

    def _listed(self) -> list[tuple[int, Path]]:
        """List number and path of each checkpoint, oldest first."""
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("*.json")]
        return sorted((int(match[1]), path) for match, path in found if match)

    def _delete_unneeded(self, kept: Collection[Path]) -> None:
        for _, path in self._listed():
            if path not in kept:
                path.unlink()
        needed = {digest for path in kept for digest in _part_digests(path)}
        for path in (self.folder / "parts").iterdir():
            if path.stem not in needed:
                path.unlink()
                self._sound.discard(path.stem)
        for path in self.folder.glob(".*.part"):
            path.unlink()


def _unwritable(folder: Path, error: OSError) -> RunStopped:
    return RunStopped(
        f"the checkpoint cannot be written: {error.strerror}",
        fix="make room on the disk or correct its permissions, then resume the run",
        local_detail=str(folder),
    )


def _part_digests(path: Path) -> list[str]:
    """Return the parts a checkpoint names; none if it cannot be read, for it is of no use."""
    try:
        return list(json.loads(path.read_bytes())["parts"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        return []


def _packed(arrays: Arrays) -> bytes:
    # safetensors would write the memory of a strided view as it lies
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})
