from pathlib import Path

from client.data.manifest import Example
from client.doctor.fields import fields_lines
from common.study.data import Data
from tests.support.small import small_study


def example(name: str, group: str, split: str | None = None, field: str | None = None) -> Example:
    return Example(Path(name), 0, group, split=split, field=field)


def test_groups_that_a_given_split_parts_are_named() -> None:
    examples = [
        example(f"{n}-{part}", f"p{n}", part, "F1") for n in range(7) for part in ("train", "test")
    ]
    (line,) = fields_lines(examples, "patient", None)
    assert (line.check, line.verdict) == ("split", "warning")
    assert line.text.startswith("7 groups (14 images) lie in more than one part")
    assert line.text.endswith("p0, p1, p2, p3, p4 and 2 more")
    (line,) = fields_lines(examples[::2], "patient", None)
    assert (line.check, line.verdict) == ("split", "ok")


def test_fields_that_were_never_looked_for() -> None:
    (line,) = fields_lines([example("a", "p1")], "patient", None)
    assert (line.check, line.verdict) == ("fields", "warning")
    assert "leukofed-site fields" in line.fix


def test_a_column_that_the_study_demands() -> None:
    examples = [example("a", "s1", field="F1")]
    study = small_study(data=Data(require="patient"))
    assert list(fields_lines(examples, "patient", study)) == []
    (line,) = fields_lines(examples, "slide", study)
    assert (line.check, line.verdict) == ("groups", "problem")
    assert "demands groups by patient" in line.text
