from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from client.site_config import SiteConfig
from common.metrics import RunMetrics
from common.study.schema import Study
from docs.generate import pages
from simulations.scenario import Scenario


def models(kind: Any, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Yield a model and all those it is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen.add(kind)
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation, seen)
    for inner in get_args(kind):
        yield from models(inner, seen)


ROOTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("study.md", Study),
    ("site.md", SiteConfig),
    ("scenario.md", Scenario),
    ("metrics.md", RunMetrics),
)
FIELDS = [
    (page, model.__name__, key, field)
    for page, root in ROOTS
    for model in models(root, set())
    for key, field in model.model_fields.items()
]


def section(page: str, model: str) -> str:
    return pages()[page].partition(f"\n## {model}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("page", "model", "key", "field"), FIELDS, ids=[f"{m}.{k}" for _, m, k, _ in FIELDS]
)
def test_each_setting_stands_in_its_table_with_its_meaning(
    page: str, model: str, key: str, field: FieldInfo
) -> None:
    (row,) = [line for line in section(page, model).splitlines() if line.startswith(f"| `{key}` ")]
    meaning = row.replace("\\|", "|").split(" | ")[4].removesuffix(" |")
    if key != "name" or field.description:
        assert field.description, "every setting says what it does"
        assert meaning == " ".join(field.description.split())
    assert ("| required |" in row) == field.is_required()


def test_settings_of_every_kind_are_found() -> None:
    assert len(FIELDS) > 70
    assert {m for _, m, _, _ in FIELDS} >= {"Study", "BoosterPhase", "LogGrid", "Crop", "Limits"}


@pytest.mark.parametrize(
    "row",
    [
        "| `quorum` | integer | required | >= 1 | Fewest sites",
        "| `eta` | number | `0.6` | > 0, <= 1 | Shrinkage",
        '| `contrast` | `camsr` or `clahe` or `none` | `"camsr"` |  |',
        "| `initial_model` | string or null | `null` | `^[0-9a-f]{64}$` |",
        "| `sites` | list of string | required | entries >= 1, each `",
        "| `grid` | [LogGrid](#loggrid) | as below |  |",
    ],
)
def test_rows_show_type_default_and_bounds(row: str) -> None:
    assert f"\n{row}" in pages()["study.md"]
