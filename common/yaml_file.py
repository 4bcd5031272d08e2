"""YAML files read into typed values, with every fault named by its key and line."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from common.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


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
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", fix="check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not valid YAML: {' '.join(str(error).split())}", fix="correct the syntax"
        ) from error
    if tree is None:
        raise ConfigError(f"{path} is empty", fix=fix)
    complaints = [f"line {line}: {key}: given twice" for key, line in _repeated_keys(tree)]
    try:
        value = model.model_validate(document)
    except ValidationError as error:
        complaints += _complaints(error, tree)
    if complaints:
        listing = "\n".join(f"  {complaint}" for complaint in complaints)
        raise ConfigError(f"{path} has {_count(len(complaints))}:\n{listing}", fix=fix)
    return value


def _count(faults: int) -> str:
    return "1 fault" if faults == 1 else f"{faults} faults"


def _complaints(error: ValidationError, tree: yaml.Node) -> list[str]:
    found = []
    for fault in error.errors():
        line, path = _locate(tree, fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        found.append((line, f"line {line}: {path or 'the file'}: {message}"))
    return [text for _, text in sorted(found)]


def _locate(tree: yaml.Node, location: tuple[int | str, ...]) -> tuple[int, str]:
    """Follow a pydantic location down the tree; a union's tag, which is no key, is passed over."""
    node, line, path = tree, tree.start_mark.line + 1, ""
    for position, step in enumerate(location):
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
            elif position == len(location) - 1:  # the missing key of a mapping that is there
                path = f"{path}.{step}".lstrip(".")
    return line, path


def _repeated_keys(node: yaml.Node, path: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            here = f"{path}.{key.value}".lstrip(".")
            if key.value in seen:
                yield here, key.start_mark.line + 1
            seen.add(key.value)
            yield from _repeated_keys(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _repeated_keys(value, f"{path}[{position}]")
