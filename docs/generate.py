"""Writes the pages of docs/ that the code knows best."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import click

from benchmarks.ledger import RESULTS, command_rows, figure_rows, machine_rows, read
from client.cli.main import main as site_command
from client.site_config import SiteConfig
from client.site_folder import LinkSettings
from common.metrics import RunMetrics
from common.privacy import LEAVES, THREATS
from common.study.schema import Study
from docs.settings_page import settings_page
from server.cli.main import main as server_command
from server.federation import Settings
from server.launch import Launch
from server.status import Status
from simulations.cli.main import main as sim_command
from simulations.scenario import Scenario

FOLDER = Path(__file__).parent
_TABLE = re.compile(r"<!-- table: (\w+) -->\n(?:\|.*\n)*<!-- end -->\n")
_PARTIES = {
    "common": "What the parties agreed on.",
    "client": "A hospital.",
    "server": "The coordinator.",
    "simulations": "The researcher's bench.",
}


@cache
def pages() -> Mapping[str, str]:
    """Return the generated pages by file name; they are made once."""
    return {
        "study.md": settings_page(
            "The study file",
            "What the federation agreed on, one YAML file for all. Check one with\n"
            "`leukofed-server study FILE`; examples lie in `configs/studies/`.",
            Study,
        ),
        "site.md": settings_page(
            "The site file",
            "What only the hospital may decide; no study can change it. Relative paths start at\n"
            "the file's folder. An example is `configs/sites/hospital.example.yaml`.",
            SiteConfig,
        ),
        "launch.md": settings_page(
            "The launch file",
            "What the coordinator's ServerApp is told of a run besides its study. Relative paths\n"
            "start at the file's folder. `leukofed-server launch` writes one for each run.",
            Launch,
        ),
        "link.md": settings_page(
            "link.yaml",
            "How a hospital's carrier reaches the coordinator: `link/link.yaml` in the site's\n"
            "folder, which `leukofed-site init` writes. Restart `leukofed-site run` after changes.",
            LinkSettings,
        ),
        "federation.md": settings_page(
            "federation.yaml",
            "What the coordinator decides about a federation, in its folder, which\n"
            "`leukofed-server init` makes. Restart `leukofed-server start` after a change.",
            Settings,
        ),
        "scenario.md": settings_page(
            "The scenario file",
            "What `leukofed-sim run` runs: a study, a dataset divided among virtual sites, and\n"
            "the arms to compare. Examples lie in `configs/scenarios/`.",
            Scenario,
        ),
        "metrics.md": settings_page(
            "metrics.json",
            "Every figure of a run, in its folder and in the release; null where there is none.\n"
            "`arms.federated`, `arms.local_only.SITE`, ... hold the booster's figures, and under\n"
            "`softmax` those of the head that it replaces.",
            RunMetrics,
        ),
        "privacy.md": _with_tables(FOLDER / "privacy.md"),
        "performance.md": _with_tables(FOLDER / "performance.md"),
        "status.md": settings_page(
            "leukofed-server status --json",
            "What a monitor reads. Exit code 0: running, finished, or stopped by hand; 1: look at\n"
            "`attention`, which says what is the matter. Fields may be added, none removed.",
            Status,
        ),
        "rooms.md": _rooms_page(),
        "cli.md": _commands_page(),
    }


def _rooms_page() -> str:
    """List every module under its folder, each with the first sentence of its docstring."""
    lines = [
        "# The rooms",
        "",
        "Every module, by party. Made by `make docs` from the code; do not edit.",
    ]
    for party, meaning in _PARTIES.items():
        lines += ["", f"## {party}", "", meaning, ""]
        for path in sorted((FOLDER.parent / party).rglob("*.py")):
            told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            if path.name == "__init__.py" or path.stem.endswith("_pb2"):
                continue
            place = path.relative_to(FOLDER.parent / party).as_posix()
            first = " ".join((told or "").partition("\n\n")[0].split())
            lines.append(f"- `{place}`: {first}")
    return "\n".join([*lines, ""])


def _with_tables(path: Path) -> str:
    """Return a page with its tables set anew, each between `<!-- table: NAME -->` and its end."""
    return _TABLE.sub(
        lambda found: f"<!-- table: {found[1]} -->\n{_tables()[found[1]]}<!-- end -->\n",
        path.read_text(encoding="utf-8"),
    )


def _tables() -> dict[str, str]:
    phases = [leaving.phase for leaving in LEAVES]
    leaves = [
        ("" if leaving.phase in phases[:i] else leaving.phase, leaving.what, leaving.form)
        for i, leaving in enumerate(LEAVES)
    ]
    threats = [(threat.who, threat.what, threat.guard) for threat in THREATS]
    measured = read(RESULTS)
    return {
        "leaves": _table(("phase", "what leaves", "exact form"), leaves),
        "threats": _table(
            ("who", "what they can do", "what stands against it, and what remains"), threats
        ),
        "figures": _table(*figure_rows(measured)),
        "commands": _table(*command_rows(measured)),
        "machines": _table(*machine_rows(measured)),
    }


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def _commands_page() -> str:
    blocks = [
        f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
        for command, name in (
            (site_command, "leukofed-site"),
            (server_command, "leukofed-server"),
            (sim_command, "leukofed-sim"),
        )
        for context in _contexts(command, name, None)
    ]
    head = (
        "# The commands\n\nExit codes: 0 done, 1 you must act, 2 wrong usage. Made by `make docs`"
        " from the code; do not edit.\n"
    )
    return "\n".join([head, *blocks])


def _contexts(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[click.Context]:
    """Yield the context of a command, then those of its subcommands."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=80)
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from _contexts(found, below, context)


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
