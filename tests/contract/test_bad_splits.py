"""Images that do not divide well: an error that tells what to do, or parts and a warning."""

from pathlib import Path

import pytest

from client.data.manifest import read_manifest
from client.data.splits import split
from client.doctor.images import counts_line, groups_line
from client.doctor.parts import parts_line
from common.errors import DataError
from tests.support.bad_input import Case
from tests.support.bad_splits import CASES
from tests.support.small import small_study

STUDY = small_study()
CLASSES = STUDY.labels.classes


@pytest.mark.parametrize("case", CASES, ids=[case.given for case in CASES])
def test_one_division(case: Case, tmp_path: Path) -> None:
    manifest = read_manifest(tmp_path / case.write(tmp_path), CLASSES)
    examples = manifest.examples
    if case.outcome == "refused":
        with pytest.raises(DataError) as caught:
            split(examples, STUDY.data.split, STUDY.seed, "north")
        assert caught.value.problem == case.says
        assert caught.value.fix
        assert ".jpg" not in str(caught.value)
        assert parts_line(examples, STUDY, "north", 0).text == case.says
        return
    parts = split(examples, STUDY.data.split, STUDY.seed, "north")
    placed = sorted(str(example.image) for found in parts.values() for example in found)
    assert placed == sorted(str(example.image) for example in examples)
    lines = [
        counts_line(manifest, CLASSES, 0),
        groups_line(examples, CLASSES, manifest.grouped_by),
        parts_line(examples, STUDY, "north", 0),
    ]
    told = [line.text for line in lines if line.verdict != "ok"]
    expected = case.says.split("`")[3:4]  # what follows the name of the command
    assert all(any(text in line for line in told) for text in expected), told
    if not expected:
        assert parts_line(examples, STUDY, "north", 0).verdict == "ok"
