"""YAML files read into typed values, with every fault named by its key and line."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from common.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Complaint = tuple[int, str]  # line, and what is wrong there


def load_yaml(path: Path, model: type[Model], *, fix: str) -> Model:
    """Read and check a YAML file.

    Args:
        path: the file.
        model: what it must describe.
        fix: what the operator should do about a fault in its content.

    Raises:
        ConfigError: the file cannot be read, is not YAML, repeats a key, or breaks the schema;
            the message lists every fault with its key and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
        complaints = [] if tree is None else list(_repeated_keys(tree))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", fix="check the path") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply", fix="correct the syntax") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or no such date
        raise ConfigError(
            f"{path} is not valid YAML: {' '.join(str(error).split())}", fix="correct the syntax"
        ) from error
    if tree is None or document is None:
        raise ConfigError(f"{path} is empty", fix=fix)
    try:
        value = model.model_validate(document)
    except ValidationError as error:
        complaints += _complaints(error, tree)
    if complaints:
        listing = "\n".join(f"  line {line}: {text}" for line, text in sorted(complaints))
        raise ConfigError(f"{path} has {_count(len(complaints))}:\n{listing}", fix=fix)
    return value


def dump_yaml(value: BaseModel) -> str:
    """Write a value as YAML, every default filled in, in the order of its fields."""
    return yaml.dump(
        value.model_dump(mode="json"), Dumper=_Blocks, sort_keys=False, allow_unicode=True,
        width=100,
    )  # fmt: skip


def with_value(text: str, key: str, value: str | None) -> str:
    """Return a YAML file's text with another value at one of its outermost keys.

    Comments, order and everything else stay as they are.

    Raises:
        ValueError: the file does not let a key be replaced, for example because it repeats it.
    """
    before, after = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(before, dict) or not isinstance(after, yaml.MappingNode):
        raise ValueError("the file is no mapping")
    written = yaml.safe_dump({key: value}, allow_unicode=True, width=10_000).rstrip("\n")
    spans = [node for name, node in after.value if name.value == key]
    if spans:
        start, end = spans[0].start_mark.index, spans[0].end_mark.index
        gap = "" if text[start - 1].isspace() else " "
        line = "\n" if end > start and text[end - 1] == "\n" else ""  # a block ends with its line
        new = f"{text[:start]}{gap}{written.removeprefix(f'{key}: ')}{line}{text[end:]}"
    else:
        new = f"{text.rstrip()}\n{written}\n"
    try:
        done = yaml.safe_load(new) == {**before, key: value}
    except yaml.YAMLError:
        done = False
    if not done:
        raise ValueError(f"the value of {key} cannot be replaced")
    return new


class _Blocks(yaml.SafeDumper):
    """Writes text of several lines, such as a certificate, line by line."""


def _text(dumper: _Blocks, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Blocks.add_representer(str, _text)


def _count(faults: int) -> str:
    return "1 fault" if faults == 1 else f"{faults} faults"


def _complaints(error: ValidationError, tree: yaml.Node) -> list[Complaint]:
    found = []
    for fault in error.errors():
        line, path = _locate(tree, fault["loc"], missing=fault["type"] == "missing")
        message = fault["msg"].removeprefix("Value error, ")
        found.append((line, f"{path or 'the file'}: {message}"))
    return found


def _locate(tree: yaml.Node, location: tuple[int | str, ...], *, missing: bool) -> tuple[int, str]:
    """Follow a pydantic location down the tree; a union's tag, which is no key, is passed over."""
    node, line, path = tree, tree.start_mark.line + 1, ""
    for step in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            if step >= len(node.value):
                break
            node = node.value[step]
            line, path = node.start_mark.line + 1, f"{path}[{step}]"
        elif isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(step)]
            if found:
                key, node = found[0]
                line, path = key.start_mark.line + 1, f"{path}.{step}".lstrip(".")
    if missing:  # the location ends with the key that is not there
        path = f"{path}.{location[-1]}".lstrip(".")
    return line, path


def _repeated_keys(node: yaml.Node, path: str = "") -> Iterator[Complaint]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            here = f"{path}.{key.value}".lstrip(".")
            if key.value in seen:
                yield key.start_mark.line + 1, f"{here}: given twice"
            seen.add(key.value)
            yield from _repeated_keys(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _repeated_keys(value, f"{path}[{position}]")
