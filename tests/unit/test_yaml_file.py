from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field, model_validator

from common.errors import ConfigError
from common.study.strict import Strict
from common.yaml_file import dump_yaml, load_yaml, with_value


class Square(Strict):
    name: Literal["square"] = "square"
    side: float = Field(gt=0)


class Circle(Strict):
    name: Literal["circle"] = "circle"
    radius: float = Field(gt=0)


class Drawing(Strict):
    title: str
    scale: int = Field(default=1, ge=1)
    margin: Square | Literal["none"] = "none"
    shapes: tuple[Annotated[Square | Circle, Field(discriminator="name")], ...] = ()
    notes: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_small(self) -> "Drawing":
        if len(self.shapes) > 3:
            raise ValueError("more than three shapes")
        return self


def read(tmp_path: Path, text: str | bytes) -> Drawing:
    path = tmp_path / "drawing.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_yaml(path, Drawing, fix="draw it again")


def faults(tmp_path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert error.value.fix == "draw it again"
    head, *lines = error.value.problem.splitlines()
    assert head.endswith(f"has {len(lines)} fault{'s' if len(lines) > 1 else ''}:")
    return [line.strip() for line in lines]


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    text = "title: x\nshapes:\n  - {name: circle, radius: 2}\n  - {name: square, side: 1.5}\n"
    assert read(tmp_path, text) == Drawing(title="x", shapes=(Circle(radius=2), Square(side=1.5)))


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufefftitle: Größe\n").title == "Größe"


def test_all_faults_come_at_once_with_key_and_line(tmp_path: Path) -> None:
    text = "title: x\nscale: 0\nshapes:\n  - name: square\n    side: -1\n"
    assert faults(tmp_path, text) == [
        "line 2: scale: Input should be greater than or equal to 1",
        "line 5: shapes[0].side: Input should be greater than 0",
    ]


def test_an_unknown_key_is_a_fault(tmp_path: Path) -> None:
    text = "title: x\nshapes:\n- name: circle\n  radius: 1\n  raduis: 2\n"
    assert faults(tmp_path, text) == ["line 5: shapes[0].raduis: Extra inputs are not permitted"]


def test_a_missing_key_is_named_where_it_should_stand(tmp_path: Path) -> None:
    text = "scale: 2\nshapes:\n  - name: circle\n    radius: 1\n  - name: square\n"
    assert faults(tmp_path, text) == [
        "line 1: title: Field required", "line 5: shapes[1].side: Field required",
    ]  # fmt: skip


def test_a_repeated_key_is_a_fault_beside_the_others(tmp_path: Path) -> None:
    text = "title: x\nscale: 0\ntitle: y\nshapes:\n  - name: circle\n    radius: 1\n    radius: 2\n"
    assert faults(tmp_path, text) == [
        "line 2: scale: Input should be greater than or equal to 1",
        "line 3: title: given twice",
        "line 7: shapes[0].radius: given twice",
    ]


def test_an_unknown_kind_names_the_entry(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "title: x\nshapes:\n  - name: line\n")
    assert fault.startswith("line 3: shapes[0]: Input tag 'line' found")


def test_neither_alternative_of_a_union_shows_as_a_key(tmp_path: Path) -> None:
    found = faults(tmp_path, "title: x\nmargin:\n  side: 0\n")
    assert found == [
        "line 2: margin: Input should be 'none'",
        "line 3: margin.side: Input should be greater than 0",
    ]


def test_a_rule_over_several_keys_belongs_to_its_mapping(tmp_path: Path) -> None:
    shapes = "  - {name: circle, radius: 1}\n" * 4
    assert faults(tmp_path, f"title: x\nshapes:\n{shapes}") == [
        "line 1: the file: more than three shapes"
    ]


def test_a_key_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "title: x\nnotes:\n  7: seven\n")
    assert fault.startswith("line 3: notes.7: ")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_called_empty(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["just words", "- a\n- b\n", "7\n"])
def test_a_file_that_is_no_mapping_is_a_fault(tmp_path: Path, text: str) -> None:
    (fault,) = faults(tmp_path, text)
    assert fault.startswith("line 1: the file: Input should be a valid dictionary")


@pytest.mark.parametrize(
    "text",
    [
        "title: [x\n",
        "title: x\n scale: 2\n",
        "title: !!python/object:os.system {}\n",
        "{[a]: b}\n",
        "title: 2024-13-45\n",
        b"title: \xff\xfe\n",
        "title: a\n---\ntitle: b\n",
        "title: &a [*a]\nshapes: *missing\n",
    ],
)
def test_what_is_not_yaml_is_said_to_be_so(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ConfigError, match="is not valid YAML"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["[" * 5000, "title: x\nshapes: &a [*a]\n"])
def test_endless_nesting_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is nested too deeply"):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as error:
        load_yaml(tmp_path / "absent.yaml", Drawing, fix="draw it again")
    assert error.value.fix == "check the path"
    assert "absent.yaml" in error.value.problem


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_yaml(tmp_path, Drawing, fix="draw it again")


def test_a_value_is_written_as_it_is_read(tmp_path: Path) -> None:
    drawing = Drawing(title="Größe: 7", shapes=(Circle(radius=1e-7),), notes={"a": "yes"})
    text = dump_yaml(drawing)
    assert text.startswith("title: 'Größe: 7'\nscale: 1\n")
    assert read(tmp_path, text) == drawing


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("a: 1\nkey: null  # why\nb: 2\n", "a: 1\nkey: new  # why\nb: 2\n"),
        ("key:\nb: 2\n", "key: new\nb: 2\n"),
        ('# top\nkey: "old one"\n', "# top\nkey: new\n"),
        ("key: |\n  old\n  text\nb: 2\n", "key: new\nb: 2\n"),
        ("b: {key: 1}\n", "b: {key: 1}\nkey: new\n"),
        ("b: 2", "b: 2\nkey: new\n"),
    ],
)
def test_a_value_is_replaced_and_all_else_stays(text: str, changed: str) -> None:
    assert with_value(text, "key", "new") == changed


@pytest.mark.parametrize("value", ["yes", "null", "1.5", "a: b # c", "[::1]:8443", "", "AAE="])
def test_a_replaced_value_is_read_as_the_same_text(value: str) -> None:
    assert yaml.safe_load(with_value("key: old\n", "key", value)) == {"key": value}


@pytest.mark.parametrize("text", ["- 1\n", "key: 1\nkey: 2\n", ""])
def test_what_cannot_be_replaced_safely_is_not(text: str) -> None:
    with pytest.raises(ValueError):
        with_value(text, "key", "new")


def test_text_of_several_lines_is_written_line_by_line(tmp_path: Path) -> None:
    class Page(Strict):
        text: str

    for text in ("one\ntwo\n", "one\ntwo", " leading\n: odd # text\n\n", "trailing \nx"):
        (tmp_path / "page.yaml").write_text(dump_yaml(Page(text=text)), encoding="utf-8")
        assert load_yaml(tmp_path / "page.yaml", Page, fix="").text == text
    assert dump_yaml(Page(text="one\ntwo\n")) == "text: |\n  one\n  two\n"
