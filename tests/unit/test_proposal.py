"""A signed study file: what may be changed in it, and what may not."""

from pathlib import Path

import pytest
import yaml

from common.errors import ConfigError
from common.proposal import proposal, read_proposal
from common.signing import new_key, sign_study
from common.study.schema import Study, load_study
from tests.support.exchanges import STUDY
from tests.support.workers import KEY

TEXT = proposal(STUDY, KEY)


def read(folder: Path, text: str) -> Study:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return read_proposal(path, KEY.public_key())


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    assert "study.yaml" in str(raised.value) + raised.value.local_detail
    return raised.value.problem


def test_a_signed_study_comes_back_and_is_a_study_file_like_any_other(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT) == STUDY
    assert load_study(tmp_path / "study.yaml") == STUDY
    first, second, *rest = TEXT.splitlines()
    assert first == f"# digest: {STUDY.digest}"
    assert second == f"# signed: {sign_study(STUDY.digest, KEY)}"
    assert yaml.safe_load("\n".join(rest)) == STUDY.model_dump(mode="json")


def reordered(text: str) -> str:
    head, body = text.splitlines(keepends=True)[:2], yaml.safe_load(text)
    return "".join(head) + yaml.safe_dump(dict(reversed(list(body.items()))), sort_keys=False)


@pytest.mark.parametrize(
    "text",
    [
        "# our own note: ward 7 takes part\n\n" + TEXT,
        TEXT.replace("# digest", "# was digest"),
        "\n".join([*TEXT.splitlines()[2:], TEXT.splitlines()[1], "# the end"]),
        TEXT.replace("\n", "\r\n"),
        "\ufeff" + TEXT,
        reordered(TEXT),
        TEXT.replace("seed: 1\n", ""),  # the default
    ],
)
def test_comments_and_form_may_be_changed(tmp_path: Path, text: str) -> None:
    assert text != TEXT
    assert read(tmp_path, text) == STUDY


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("quorum: 2", "quorum: 1"),
        TEXT.replace("- north", "- nort"),
        TEXT.replace("seed: 1\n", "seed: 2\n"),
        TEXT.replace("rounds: 6", "rounds: 7", 1),
        proposal(STUDY, new_key()),
        proposal(STUDY.model_copy(update={"seed": 2}), KEY).splitlines()[1]
        + TEXT[TEXT.index("\nname") :],
        TEXT.replace("# signed: ", "# signed: A"),
    ],
)
def test_nothing_that_the_study_says_may_be_changed(tmp_path: Path, text: str) -> None:
    assert text != TEXT
    assert "does not carry this coordinator's signature" in refused(tmp_path, text)


@pytest.mark.parametrize("line", ["", "# signed:", "# signed: \n", "#signed: AAAA", "# signed: é"])
def test_an_unsigned_study_is_told_so(tmp_path: Path, line: str) -> None:
    text = TEXT.replace(TEXT.splitlines()[1], line)
    problem = refused(tmp_path, text)
    assert problem == f"study {STUDY.digest[:12]} is not signed"


def test_a_file_that_is_no_study_is_told_so(tmp_path: Path) -> None:
    assert "is not valid YAML" in refused(tmp_path, "name: [")
    assert "has 5 faults" in refused(tmp_path, TEXT.splitlines()[1] + "\nmethod: x\n")
    with pytest.raises(ConfigError, match="cannot read"):
        read_proposal(tmp_path, KEY.public_key())
