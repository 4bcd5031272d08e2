"""A page of commands, and parties that follow it: each command as it stands there."""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import ENVIRONMENT, Process

_PATIENCE_S = 400


@dataclass(frozen=True)
class Page:
    """A page's commands by heading, `PARTY / SECTION`; lines that a backslash joins are one."""

    commands: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Read the shell blocks of a page."""
        commands: dict[str, list[str]] = {}
        party = section = ""
        is_block, line = False, ""
        for raw in path.read_text(encoding="utf-8").splitlines():
            if raw.startswith("```"):
                is_block = raw == "```sh"
            elif is_block:
                line += raw.strip().removesuffix("\\")
                if not raw.endswith("\\"):
                    commands.setdefault(f"{party} / {section}", []).append(line)
                    line = ""
            elif found := re.fullmatch(r"(##|###) (.+)", raw):
                party, section = (found[2], "") if found[1] == "##" else (party, found[2])
        return cls(commands)

    def ours(self) -> set[str]:
        """List the commands of this software."""
        return {
            command for commands in self.commands.values() for command in commands
            if command.startswith("leukofed-")
        }  # fmt: skip


@dataclass
class Party:
    """One who follows the page.

    Args:
        folder: of its own; commands run there.
        page: what is followed.
        name: the heading of its part.
        instead: what stands on this machine in the place of the page's words.
        log: where its screens are kept, with each command above what it printed.

    Attributes:
        followed: the page's commands that were run.
    """

    folder: Path
    page: Page
    name: str
    instead: Mapping[str, str]
    log: Path
    followed: set[str] = field(default_factory=set)
    _running: list[Process] = field(default_factory=list)

    def follow(
        self, section: str, which: str = "leukofed-", answers: str = "", code: int | None = 0
    ) -> str:
        """Run a section's commands that begin with some words; return what they printed.

        Args:
            section: its heading.
            which: how the commands begin.
            answers: what is typed at their questions.
            code: the exit code that each must have; None: any.
        """
        chosen = [
            command for command in self.page.commands[f"{self.name} / {section}"]
            if command.startswith(which)
        ]  # fmt: skip
        assert chosen, f"{section} has no command {which}"
        return "".join(self.run(command, answers, code) for command in chosen)

    def run(self, command: str, answers: str = "", code: int | None = 0, of: str = "north") -> str:
        """Run one command, for the hospital `of` where the page says `north`."""
        self.followed.add(command)
        done = subprocess.run(
            ["sh", "-c", self._here(command).replace("north", of)],
            env=self._environment(), cwd=self.folder, input=answers, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        screen = done.stdout + done.stderr
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {command}\n{screen}\n")
        if code is not None:
            assert done.returncode == code, f"{command}: exit code {done.returncode}\n{screen}"
        return screen

    def keep(self, section: str, which: str, before: Sequence[str] = ()) -> Process:
        """Start a section's command that runs until it is stopped."""
        (command,) = (
            line for line in self.page.commands[f"{self.name} / {section}"]
            if line.startswith(which)
        )  # fmt: skip
        self.followed.add(command)
        words = shlex.split(self._here(command), comments=True)
        process = Process(
            [*before, *words], self.folder / f"{words[1]}.out", {"OMP_NUM_THREADS": "1"}
        )
        self._running.append(process)
        return process.start()

    def close(self) -> None:
        """End what it keeps running."""
        for process in reversed(self._running):
            process.close()

    def _here(self, command: str) -> str:
        for words, meant in self.instead.items():
            command = command.replace(words, meant)
        return command

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": "1", "HOME": str(self.folder),
            "COLUMNS": "110",
        }  # fmt: skip
