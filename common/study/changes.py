"""What differs between two studies, setting by setting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from common.study.schema import Study

ABSENT = "-"


@dataclass(frozen=True)
class Change:
    """A setting that differs; each value as YAML would show it, `ABSENT` where there is none."""

    setting: str
    old: str
    new: str


def changes(old: Study, new: Study) -> list[Change]:
    """List what differs, in the order of the study file; the pinned initial model comes too."""
    before, after = (dict(_settings(study)) for study in (old, new))
    names = [*before, *(name for name in after if name not in before)]
    return [
        Change(name, before.get(name, ABSENT), after.get(name, ABSENT))
        for name in names
        if before.get(name, ABSENT) != after.get(name, ABSENT)
    ]


def _settings(study: Study) -> Iterator[tuple[str, str]]:
    document = study.model_dump(mode="json")
    phases = {phase.pop("name"): phase for phase in document.pop("phases")}
    yield from _flat("", document)
    yield from _flat("phases", phases)


def _flat(place: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every leaf under its place; lists of plain values are leaves."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _flat(f"{place}.{key}".lstrip("."), below)
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for number, below in enumerate(value, start=1):
            yield from _flat(f"{place}[{number}]", below)
    elif isinstance(value, list):
        yield place, ", ".join(map(str, value)) or "none"
    else:
        yield place, "none" if value in (None, {}) else str(value)
