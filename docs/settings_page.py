"""A manual page of a file's settings, made of its pydantic model."""

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]
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


def settings_page(title: str, introduction: str, model: type[BaseModel]) -> str:
    """Return the Markdown page of a file's settings: a table for each of its models."""
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
