"""A study's fields by dotted path, and what a sweep tries in each."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import yaml
from pydantic import JsonValue, ValidationError

from common.errors import ConfigError
from common.study.schema import Study

_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
_COMMA = re.compile(r",(?![^\[{]*[\]}])")  # not those within a list or a mapping
_FORM = "write FIELD=VALUE,VALUE,... or, with --random, FIELD=LOW..HIGH"


@dataclass(frozen=True)
class Range:
    """Values from low to high, each factor as likely as the next of its size."""

    low: float
    high: float
    is_whole: bool

    def drawn(self, generator: np.random.Generator) -> JsonValue:
        """Draw log-uniformly; a whole number if both ends are."""
        if self.is_whole:  # every whole number has its share, the ends as well
            ends = np.log(self.low - 0.5), np.log(self.high + 0.5)
            value = round(float(np.exp(generator.uniform(*ends))))
            return int(min(max(value, self.low), self.high))
        ends = np.log(self.low), np.log(self.high)
        return float(f"{np.exp(generator.uniform(*ends)):.3g}")


@dataclass(frozen=True)
class Axis:
    """A field, and the values that are tried there."""

    field: str
    values: tuple[JsonValue, ...] | Range

    def drawn(self, generator: np.random.Generator) -> JsonValue:
        """Draw one value."""
        if isinstance(self.values, Range):
            return self.values.drawn(generator)
        return self.values[int(generator.integers(len(self.values)))]


def read_axis(text: str) -> Axis:
    """Read `FIELD=VALUE,VALUE,...` or `FIELD=LOW..HIGH`.

    Raises:
        ConfigError: it is neither.
    """
    field, sign, told = (part.strip() for part in text.partition("="))
    if not (field and sign and told):
        raise ConfigError(f"--over {text} names no field or no values", fix=_FORM)
    if ends := _RANGE.fullmatch(told):
        low, high = map(float, ends.groups())
        if not 0 < low < high:
            raise ConfigError(
                f"--over {field}: the range {told} cannot be drawn from",
                fix="let it begin above 0 and end higher: what is drawn is log-uniform",
            )
        is_whole = all(end.lstrip("+").isdigit() for end in ends.groups())
        return Axis(field, Range(low, high, is_whole))
    try:
        values = [yaml.safe_load(value) for value in _COMMA.split(told)]
    except yaml.YAMLError as error:
        raise ConfigError(f"--over {field}: {told} cannot be read", fix=_FORM) from error
    return Axis(field, tuple(values))


def varied(study: Study, values: Mapping[str, JsonValue]) -> tuple[Study, dict[str, JsonValue]]:
    """Return a study with other values in some fields, and those values as the study has them.

    Args:
        study: sound.
        values: by dotted path; an entry of a list is meant by its number or its `name`.

    Raises:
        ConfigError: there is no such field, or a study cannot have these values.
    """
    document = deepcopy(study.model_dump(mode="json"))
    for field, value in values.items():
        *way, last = _steps(document, field)
        place: Any = _at(document, way)
        place[last] = value
    try:
        found = Study.model_validate(document)
    except ValidationError as error:
        told = ", ".join(f"{field}={value}" for field, value in values.items())
        faults = "; ".join(
            ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))
            for fault in error.errors()
        ).replace("Value error, ", "")
        raise ConfigError(
            f"no study can have {told}: {faults}",
            fix="correct the values; docs/study.md tells what each field allows",
        ) from error
    whole = found.model_dump(mode="json")
    return found, {field: _at(whole, _steps(whole, field)) for field in values}


def fields_of(document: JsonValue, path: str = "") -> Iterator[str]:
    """Yield the path of every field of a study's plain data, entries of lists by their names."""
    if isinstance(document, dict):
        below = list(document.items())
    elif isinstance(document, list) and all(isinstance(entry, dict) for entry in document):
        below = [(_name(entry, number), entry) for number, entry in enumerate(document)]
    else:
        below = []
    for name, value in below:
        here = f"{path}.{name}".lstrip(".")
        yield here
        yield from fields_of(value, here)


def _steps(document: JsonValue, field: str) -> list[str | int]:
    """Return the keys and numbers that lead to a field."""
    place, steps = document, list[str | int]()
    for step in field.split("."):
        if isinstance(place, dict) and step in place:
            steps.append(step)
        elif isinstance(place, list):
            numbers = [n for n, entry in enumerate(place) if step in (str(n), _name(entry, n))]
            if not numbers:
                raise _unknown(document, field)
            steps.append(numbers[0])
        else:
            raise _unknown(document, field)
        place = _at(place, steps[-1:])
    return steps


def _at(document: JsonValue, steps: list[str | int]) -> JsonValue:
    place: JsonValue = document
    for step in steps:
        if isinstance(place, dict):
            place = place[str(step)]
        elif isinstance(place, list):
            place = place[int(step)]
    return place


def _name(entry: JsonValue, number: int) -> str:
    return str(entry.get("name", number)) if isinstance(entry, dict) else str(number)


def _unknown(document: JsonValue, field: str) -> ConfigError:
    known = list(fields_of(document))
    last = field.rpartition(".")[2]
    alike = {last, *get_close_matches(last, {path.rpartition(".")[2] for path in known}, n=3)}
    # A field that ends alike may stand elsewhere; a path that reads alike may end otherwise.
    near = [path for path in known if alike & {(end := path.rpartition(".")[2]), _word(end)}]
    likely = [*get_close_matches(field, near, n=3, cutoff=0), *get_close_matches(field, known)]
    found = list(dict.fromkeys(likely))[:4]
    return ConfigError(
        f"the study has no field {field}",
        fix=f"did you mean {', '.join(found)}? docs/study.md lists all of them"
        if found
        else "see docs/study.md for the fields",
    )


def _word(name: str) -> str:
    return name.rpartition("_")[2]
