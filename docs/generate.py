"""Writes the pages of docs/ that the code knows best."""

import ast
import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from benchmarks.ledger import RESULTS, command_rows, figure_rows, machine_rows, read
from client.cli.main import main as site_command
from client.site_config import SiteConfig
from client.site_folder import LinkSettings
from common.metrics import RunMetrics
from common.privacy import LEAVES, THREATS
from common.study.schema import Study
from server.cli.main import main as server_command
from server.federation import Settings
from server.launch import Launch
from server.status import Status
from simulations.cli.main import main as sim_command
from simulations.scenario import Scenario

FOLDER = Path(__file__).parent
Schema = Mapping[str, Any]
_TABLE = re.compile(r"<!-- table: (\w+) -->\n(?:\|.*\n)*<!-- end -->\n")
_PARTIES = {
    "common": "What the parties agreed on.",
    "client": "A hospital.",
    "server": "The coordinator.",
    "simulations": "The researcher's bench.",
}
_BOUNDS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "minItems": "entries >= {}",
    "maxItems": "entries <= {}",
    "minLength": "characters >= {}",
    "maxLength": "characters <= {}",
    "pattern": "`{}`",
}


@cache
def pages() -> Mapping[str, str]:
    """Return the generated pages by file name; they are made once."""
    return {
        "study.md": _settings_page(
            "The study file",
            "What the federation agreed on, one YAML file for all. Check one with\n"
            "`leukofed-server study FILE`; examples lie in `configs/studies/`.",
            Study,
        ),
        "site.md": _settings_page(
            "The site file",
            "What only the hospital may decide; no study can change it. Relative paths start at\n"
            "the file's folder. An example is `configs/sites/hospital.example.yaml`.",
            SiteConfig,
        ),
        "launch.md": _settings_page(
            "The launch file",
            "What the coordinator's ServerApp is told of a run besides its study. Relative paths\n"
            "start at the file's folder. `leukofed-server launch` writes one for each run.",
            Launch,
        ),
        "link.md": _settings_page(
            "link.yaml",
            "How a hospital's carrier reaches the coordinator: `link/link.yaml` in the site's\n"
            "folder, which `leukofed-site init` writes. Restart `leukofed-site run` after changes.",
            LinkSettings,
        ),
        "federation.md": _settings_page(
            "federation.yaml",
            "What the coordinator decides about a federation, in its folder, which\n"
            "`leukofed-server init` makes. Restart `leukofed-server start` after a change.",
            Settings,
        ),
        "scenario.md": _settings_page(
            "The scenario file",
            "What `leukofed-sim run` runs: a study, a dataset divided among virtual sites, and\n"
            "the arms to compare. Examples lie in `configs/scenarios/`.",
            Scenario,
        ),
        "metrics.md": _settings_page(
            "metrics.json",
            "Every figure of a run, in its folder and in the release; null where there is none.\n"
            "`arms.federated`, `arms.local_only.SITE`, ... hold the booster's figures, and under\n"
            "`softmax` those of the head that it replaces.",
            RunMetrics,
        ),
        "privacy.md": _with_tables(FOLDER / "privacy.md"),
        "performance.md": _with_tables(FOLDER / "performance.md"),
        "status.md": _settings_page(
            "leukofed-server status --json",
            "What a monitor reads. Exit code 0: running, finished, or stopped by hand; 1: look at\n"
            "`attention`, which says what is the matter. Fields may be added, none removed.",
            Status,
        ),
        "rooms.md": _rooms_page(),
        "cli.md": _commands_page(),
    }


def _settings_page(title: str, introduction: str, model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    sections = [
        _section(name, section)
        for name, section in _sections(schema, schema, model.__name__, {})
        if section.get("properties")
    ]
    head = (
        f"# {title}\n\n{introduction}\nAn unknown key is an error. Made by `make docs` from the"
        " code; do not edit.\n"
    )
    return "\n".join([head, *sections])


def _sections(
    root: Schema, schema: Schema, name: str, seen: dict[str, None]
) -> Iterator[tuple[str, Schema]]:
    """Yield a model's schema, then those of the models it is made of, each once."""
    seen[name] = None
    yield name, schema
    for field in schema.get("properties", {}).values():
        for reference in _references(field):
            if reference not in seen:
                yield from _sections(root, root["$defs"][reference], reference, seen)


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == "$ref":
                yield value.rpartition("/")[2]
            elif key not in ("default", "discriminator"):
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _section(name: str, schema: Schema) -> str:
    lines = [f"## {name}", "", str(schema.get("description", "")), ""]
    fields: Mapping[str, Schema] = schema.get("properties", {})
    lines += ["| key | type | default | bounds | meaning |", "| --- | --- | --- | --- | --- |"]
    own = _own(name)
    for key, field in sorted(fields.items(), key=lambda item: item[0] not in own):
        cells = (
            f"`{key}`",
            _type(field),
            _default(key, field, key in schema.get("required", ())),
            ", ".join(_bounds(field)),
            str(field.get("description", "Says which entry this is." if "const" in field else "")),
        )
        escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
        lines.append(f"| {' | '.join(escaped)} |")
    return "\n".join([*lines, ""])


def _own(name: str) -> Container[str]:
    """Return the settings of a model that it does not share with others: they are shown first."""
    found = [vars(model) for model in _models(BaseModel) if model.__name__ == name]
    return found[0].get("__annotations__", {}) if found else ()


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name == "JsonValue":
            return "any"
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "prefixItems" in schema:
        entries = [_type(one) for one in schema["prefixItems"]]
        return f"{len(entries)} entries of {' and '.join(dict.fromkeys(entries))}"
    if schema.get("type") == "array":
        one = _type(schema["items"])
        return f"list of ({one})" if " or " in one else f"list of {one}"
    if schema.get("type") == "object":
        keyed = schema.get("patternProperties", {}).values()  # where a key has a pattern
        inner = next(iter(keyed), schema.get("additionalProperties"))
        return f"map to {_type(inner if isinstance(inner, Mapping) else {})}"
    return str(schema.get("format", schema.get("type", "any")))


def _default(key: str, field: Schema, is_required: bool) -> str:
    if is_required:
        return "required"
    default = field.get("default", {})
    if default in ({}, []):
        return "empty"
    if "$ref" in field:
        return "as below"
    if isinstance(default, list) and isinstance(default[0], Mapping):
        if key == "phases":
            return "one of each, in this order"
        default = [{k: v for k, v in one.items() if v not in (None, {})} for one in default]
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _bounds(schema: Schema) -> Iterator[str]:
    yield from (text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema)
    for one in schema.get("anyOf", ()):
        yield from _bounds(one)
    if isinstance(schema.get("items"), Mapping):
        yield from (f"each {bound}" for bound in _bounds(schema["items"]))


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
