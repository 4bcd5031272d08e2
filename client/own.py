"""What a site keeps of a run for itself: its own parts of the model, and its control variates.

They lie in `state/own/`, a file for each round that may still be needed, and never leave the site.
A run that fell back behind a damaged checkpoint (`RUN.1`) goes on from what it had kept before.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from client.site import Site
from client.site_config import OWN_FOLDER
from common.asks import Stage
from common.digests import digest_arrays, digest_value
from common.errors import CorruptFile, RequestRefused
from common.parts import by_part
from common.study.personal import HEAD
from common.study.phases import FusionPhase
from common.study.schema import Study
from common.whole_file import write_whole
from common.wire import Request, Step

Arrays = Mapping[str, NDArray[Any]]
_FALLBACK = re.compile(r"\.\d+$")
_ROUNDS = 3  # of its own parts, those of the newest rounds: a coordinator may fall back
_FIX = "restore the state folder from a backup, or start a new run"


class OwnFiles:
    """The arrays that a site keeps for itself, by name and round.

    Args:
        folder: theirs alone; made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rounds(self, step: Step, name: str) -> list[int]:
        """List the rounds of a step's run in which something was kept under a name."""
        found = self._place(step).glob(f"{name}-*.safetensors")
        return sorted(int(path.stem.rpartition("-")[2]) for path in found)

    def load(self, step: Step, name: str, number: int) -> dict[str, NDArray[Any]]:
        """Return what was kept in a round.

        Raises:
            CorruptFile: it is not there, or cannot be read.
        """
        path = self._file(step, name, number)
        try:
            return load(path.read_bytes())
        except (OSError, SafetensorError) as error:
            raise CorruptFile(
                f"what this site kept of round {number} for itself ({name}) cannot be read",
                fix=_FIX,
                local_detail=str(path),
            ) from error

    def keep(self, step: Step, name: str, arrays: Arrays, others: Collection[int]) -> None:
        """Keep arrays for a step's round, and of other rounds only those that are named.

        Raises:
            RequestRefused: the disk refuses.
        """
        path = self._file(step, name, step.round)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, save(dict(arrays)))
            for number in set(self.rounds(step, name)) - {step.round, *others}:
                self._file(step, name, number).unlink()
        except OSError as error:
            raise RequestRefused(
                f"what this site keeps for itself cannot be written: {error.strerror}",
                fix="make room in the site's state folder, or correct its permissions",
                local_detail=str(path),
            ) from error

    def _place(self, step: Step) -> Path:
        # A digest, because a run may be called `..`.
        run = digest_value([step.study, _FALLBACK.sub("", step.run), step.site])[:32]
        return self.folder / step.study[:32] / run

    def _file(self, step: Step, name: str, number: int) -> Path:
        return self._place(step) / f"{name}-{number}.safetensors"


@dataclass(frozen=True)
class Parts:
    """The parts of the model that a request needs, as they are at this site."""

    digests: Mapping[str, str]
    arrays: Mapping[str, Arrays]

    def __getitem__(self, name: str) -> Arrays:
        return self.arrays[name]


def own_files(site: Site) -> OwnFiles:
    """Open what a site keeps for itself."""
    return OwnFiles(site.config.state / OWN_FOLDER)


def parts_of(site: Site, study: Study, request: Request) -> Parts:
    """Return the parts that a request names; what is this site's own takes its place in them."""
    digests = dict(request.parts)
    arrays: dict[str, Arrays] = {name: site.parts[name] for name in digests}
    for part, name, phase in _personal(study):
        if part not in arrays:
            continue
        files = own_files(site)
        # Of its own phase, what the rounds before left; of a later one, what the last left.
        before = request.step.round if request.step.phase == phase else None
        rounds = [n for n in files.rounds(request.step, name) if before is None or n < before]
        if rounds:
            arrays[part] = {**arrays[part], **files.load(request.step, name, rounds[-1])}
            digests[part] = digest_arrays(arrays[part])
    return Parts(digests, arrays)


def keep_own(site: Site, study: Study, request: Request, stage: Stage, found: Arrays) -> None:
    """Keep what training made of this site's own parts.

    Args:
        site: the site.
        study: says which parts are a site's own.
        request: of the round.
        stage: what was trained.
        found: the arrays after training, `PART/NAME`.
    """
    for part, name, _ in _personal(study):
        if (part, stage) not in (("constants", "tails"), ("fusion", "fusion")):
            continue
        arrays = by_part(found)[part]
        own = {key: arrays[key] for key in (HEAD if part == "fusion" else arrays)}
        files = own_files(site)
        earlier = [n for n in files.rounds(request.step, name) if n < request.step.round]
        files.keep(request.step, name, own, earlier[1 - _ROUNDS :])


def _personal(study: Study) -> list[tuple[str, str, str]]:
    """List what is a site's own: the part of the model, its files' name, the phase training it."""
    found = []
    if study.network.batch_norm == "local":
        found.append(("constants", "norms", "backbones"))
    if study.phase(FusionPhase).head == "local":
        found.append(("fusion", "head", "fusion"))
    return found
