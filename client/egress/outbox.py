"""The outbox: what a site released for each step, kept until the next round confirms it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from client.egress.log import Passage
from common.digests import canonical_json, digest_bytes, digest_value
from common.errors import CorruptFile
from common.parts import Arrays
from common.study.phases import PHASE_ORDER
from common.whole_file import write_whole
from common.wire import Step

_BYTES = ("*.reply", "*.owed")
_FIX = "start a new run; this site can no longer tell what it answered in this one"


@dataclass(frozen=True)
class Released:
    """A release: its line for the log, and its bytes, None once a later round confirmed them."""

    line: Passage
    reply: bytes | None


class Outbox:
    """The releases of one site, in a folder per study and run.

    Each is two files: the bytes, written first, and a line that describes them, whose presence
    says that the release took place. A process killed in between has released nothing. Where the
    study compresses, a third comes before them: what the reply leaves out of the update
    (`common.updates.coding`), which the next one makes good.

    Args:
        folder: comes into being with the first release.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, step: Step) -> Released | None:
        """Return what was released for a step.

        Raises:
            CorruptFile: the files are damaged.
        """
        place = self._place(step)
        try:
            line = _read_line(place.with_suffix(".json"))
        except FileNotFoundError:
            return None
        kept = place.with_suffix(".reply")
        reply = kept.read_bytes() if kept.exists() else None
        if reply is not None and digest_bytes(reply) != line.sha256:
            raise CorruptFile(
                "a reply in this site's outbox is damaged", fix=_FIX, local_detail=str(place)
            )
        return Released(line, reply)

    def store(self, step: Step, line: Passage, reply: bytes) -> None:
        """Keep a release; it is on the disk when this returns."""
        place = self._place(step)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place.with_suffix(".reply"), reply)
        write_whole(place.with_suffix(".json"), canonical_json(line.model_dump(mode="json")))

    def answered(self, step: Step) -> int:
        """Count the steps that were answered in a step's run."""
        return sum(1 for _ in self._place(step).parent.glob("*.json"))

    def other_runs(self, step: Step) -> int:
        """Count the other runs of a step's study in which something was answered."""
        own = self._place(step).parent
        runs = {stored.parent for stored in own.parent.glob("*/*.json")}
        return len(runs - {own})

    def is_past(self, step: Step) -> bool:
        """Say whether a later round of a step's run was answered."""
        place = self._place(step)
        stems = (stored.stem for stored in place.parent.glob("*.json"))
        return any(_position(stem) > _position(place.name) for stem in stems)

    def confirm(self, step: Step) -> None:
        """Forget the bytes of every round before a step's own; what was asked stays known.

        A round's own earlier exchanges are kept: a coordinator that resumes begins its round anew.
        Kept is what the next reply of the phase has to make good, too.
        """
        owed = self._owed(step)
        for kept in self._kept(step):
            if _position(kept.stem) < _position(_stem(step)) and kept != owed:
                kept.unlink()

    def owe(self, step: Step, left: Arrays) -> None:
        """Keep what a step's reply leaves out; it counts once that reply is released."""
        place = self._place(step)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place.with_suffix(".owed"), save(dict(left)))

    def owed(self, step: Step) -> dict[str, NDArray[Any]]:
        """Return what the last reply before a step, in its phase, has left out; at first nothing.

        What belongs to a reply that was never released, or whose round the site missed, changes
        nothing: the last one that left still stands.

        Raises:
            CorruptFile: the file is damaged.
        """
        path = self._owed(step)
        try:
            return {} if path is None else load(path.read_bytes())
        except SafetensorError as error:
            raise CorruptFile(
                "what compression has left out of this site's updates is damaged",
                fix="remove the file: what it held is lost, and the run goes on",
                local_detail=str(path),
            ) from error

    def kept(self) -> list[Path]:
        """Return the files of the replies whose bytes are kept, and of what replies left out."""
        return sorted(path for kind in _BYTES for path in self.folder.glob(f"*/*/{kind}"))

    def forget_replies(self) -> int:
        """Remove the bytes of every kept reply, and what replies left out; return how many.

        Their lines stay: they say that their steps were answered, so that none is answered twice.
        """
        kept = self.kept()
        for path in [*kept, *self.folder.glob("*/*/.*.part")]:  # and what a kill left half written
            path.unlink()
        return len(kept)

    def newest(self) -> Passage | None:
        """Return the line of the release that was stored last, whatever its run.

        Raises:
            CorruptFile: it is damaged.
        """
        stored = max(self._stored(), key=lambda path: path.stat().st_mtime_ns, default=None)
        return None if stored is None else _read_line(stored)

    def lines(self) -> Iterator[Passage]:
        """Yield the line of every release, of all runs, in no particular order.

        Raises:
            CorruptFile: one is damaged.
        """
        return map(_read_line, self._stored())

    def _owed(self, step: Step) -> Path | None:
        """Return the file of what a step has to make good."""
        now = _position(_stem(step))
        released = [
            path
            for path in self._place(step).parent.glob(f"{step.phase}-*.owed")
            if _position(path.stem) < now and path.with_suffix(".json").exists()
        ]
        return max(released, key=lambda path: _position(path.stem), default=None)

    def _kept(self, step: Step) -> Iterator[Path]:
        return (path for kind in _BYTES for path in self._place(step).parent.glob(kind))

    def _stored(self) -> Iterator[Path]:
        return self.folder.glob("*/*/*.json")

    def _place(self, step: Step) -> Path:
        # A digest, because a run may be called `..`.
        run = digest_value([step.study, step.run, step.site])[:32]
        return self.folder / step.study[:32] / run / _stem(step)


def _read_line(path: Path) -> Passage:
    try:
        return Passage.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CorruptFile(
            "a line of this site's outbox is damaged", fix=_FIX, local_detail=str(path)
        ) from error


def _stem(step: Step) -> str:
    return f"{step.phase}-{step.round}-{step.exchange}"


def _position(stem: str) -> tuple[int, int]:
    phase, round_, _ = stem.split("-")
    return [str(name) for name in PHASE_ORDER].index(phase), int(round_)
