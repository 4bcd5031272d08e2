"""Approving and withdrawing: the approved folder as the hospital's administrators work with it.

```text
approved/
  NAME-DIGEST12.yaml            approves its study while it lies here (client.approved)
  withdrawn/NAME-DIGEST12.yaml  was approved once
  history.jsonl                 one line for each approval and withdrawal by command
```
"""

import json
import os
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from common.errors import ConfigError, LeukofedError
from common.proposal import read_proposal
from common.study.schema import Study
from common.study.strict import Strict
from common.whole_file import write_whole

_LEAST_DIGITS = 6  # of a digest, by which a study is named


class Event(Strict):
    """A line of the history."""

    time: str
    """UTC, ISO 8601."""
    event: Literal["approved", "withdrawn"]
    name: str
    digest: str
    user: str
    """Who ran the command, as this machine knows them."""


@dataclass(frozen=True)
class Approval:
    """A study that is approved, or was."""

    study: Study
    digest: str
    paths: tuple[Path, ...]
    """Its files; more than one if someone put another there by hand."""
    since: str
    """When it was approved, UTC, ISO 8601."""


class Approvals:
    """The approved folder of a site.

    Args:
        folder: of the approved studies.
        key: the coordinator's public key; what it did not sign approves nothing.
    """

    def __init__(self, folder: Path, key: Ed25519PublicKey) -> None:
        self.folder = folder
        self.key = key

    def approved(self) -> list[Approval]:
        """Return what is approved now, oldest approval first."""
        return self._read(self.folder)

    def earlier(self) -> list[Approval]:
        """Return what was approved once and is withdrawn, oldest approval first."""
        return self._read(self.folder / "withdrawn")

    def without_effect(self) -> list[tuple[str, str]]:
        """Return the files in the folder that approve nothing, each with the reason."""
        found = []
        for path in sorted(self.folder.glob("*.yaml")):
            try:
                read_proposal(path, self.key)
            except LeukofedError as error:
                found.append((path.name, error.problem.replace(f"{path} ", "it ")))
        return found

    def history(self) -> list[Event]:
        """Return what was approved and withdrawn by command, oldest first; other lines are left."""
        try:
            lines = (self.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        return [event for line in lines if (event := _event(line)) is not None]

    def last_of(self, name: str) -> Approval | None:
        """Return the newest approval of a study of this name, withdrawn or not."""
        found = [one for one in [*self.earlier(), *self.approved()] if one.study.name == name]
        return max(found, key=lambda one: one.since, default=None)

    def approve(self, proposal: Path, study: Study) -> Path:
        """Approve a study that `read_proposal` read from a file; return its place.

        Raises:
            ConfigError: the folder cannot be written to, or the file now holds another study.
        """
        place = self.folder / file_name(study)
        draft = place.with_suffix(".new")  # of no effect: it is no `*.yaml`
        with _folder(self.folder):
            self.folder.mkdir(exist_ok=True)
            # The worker, another user perhaps, reads it.
            write_whole(draft, proposal.read_bytes(), mode=0o644)
            self._check_unchanged(draft, study)
            self._note("approved", study.name, study.digest)  # nothing takes effect without a line
            draft.replace(place)
            (self.folder / "withdrawn" / place.name).unlink(missing_ok=True)
        return place

    def withdraw(self, wanted: str) -> list[Approval]:
        """Withdraw every approved study that a name, a digest's beginning or a file names.

        Raises:
            ConfigError: none fits, or the folder cannot be written to.
        """
        found = matching(self.approved(), wanted)
        if not found:
            raise ConfigError(
                "no approved study has this name, digest or file",
                fix="name one that `leukofed-site studies` lists",
                local_detail=wanted,
            )
        with _folder(self.folder):
            withdrawn = self.folder / "withdrawn"
            withdrawn.mkdir(exist_ok=True)
            self._let_have(os.open(withdrawn, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
            for one in found:
                for path in one.paths:  # all of them, or it would stay approved
                    path.replace(withdrawn / file_name(one.study))
                self._note("withdrawn", one.study.name, one.digest)
        return found

    def _read(self, folder: Path) -> list[Approval]:
        approved_at = {
            event.digest: event.time for event in self.history() if event.event == "approved"
        }
        found: dict[str, Approval] = {}
        for path in sorted(folder.glob("*.yaml")):
            try:
                study, digest = (read := read_proposal(path, self.key)), read.digest
                moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except (LeukofedError, OSError):
                continue  # it approves nothing; the worker's log says why
            since = approved_at.get(digest, moment.isoformat(timespec="milliseconds"))
            others = found[digest].paths if digest in found else ()
            found[digest] = Approval(study, digest, (*others, path), since)
        return sorted(found.values(), key=lambda one: one.since)

    def _note(self, event: Literal["approved", "withdrawn"], name: str, digest: str) -> None:
        line = Event(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            event=event, name=name, digest=digest, user=user_name(),
        )  # fmt: skip
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        number = os.open(self.folder / "history.jsonl", flags, 0o666)
        os.write(number, (line.model_dump_json() + "\n").encode())
        self._let_have(number)

    def _let_have(self, number: int) -> None:
        """Give what root wrote to the folder's owner, who may be the next to approve; close it.

        By its number, never by its name: the owner, who is another user, could have put a link to
        a file of root's in its place.
        """
        try:
            if os.geteuid() == 0:
                status = self.folder.stat()
                os.fchown(number, status.st_uid, status.st_gid)
        finally:
            os.close(number)

    def _check_unchanged(self, draft: Path, study: Study) -> None:
        """See that what is approved is what was shown: its file may be another by now.

        Raises:
            ConfigError: it is not.
        """
        try:
            if read_proposal(draft, self.key).digest == study.digest:
                return
        except LeukofedError:
            pass
        draft.unlink()
        raise ConfigError(
            "the proposal's file was changed after it had been shown, so nothing was approved",
            fix="read it once more with `leukofed-site approve`",
        )


def file_name(study: Study) -> str:
    """Name the file of an approved study."""
    return f"{study.name}-{study.digest[:12]}.yaml"


def matching(approvals: list[Approval], wanted: str) -> list[Approval]:
    """Return those that a name, a digest's beginning, or a file names."""
    is_digest = re.fullmatch(rf"[0-9a-f]{{{_LEAST_DIGITS},64}}", wanted) is not None
    return [
        one
        for one in approvals
        if wanted == one.study.name
        or (is_digest and one.digest.startswith(wanted))
        or (wanted.endswith(".yaml") and Path(wanted).name in {path.name for path in one.paths})
    ]


def user_name() -> str:
    """Return the name of the user who runs this process."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _event(line: str) -> Event | None:
    try:
        return Event.model_validate(json.loads(line))
    except (ValueError, ValidationError):
        return None


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the folder of approved studies cannot be written to: {error.strerror}",
            fix="run this as the worker's user, or as root",
            local_detail=str(error.filename or folder),
        ) from error
