from pathlib import Path

import pytest

from common.errors import ConfigError
from simulations.comparing.entrants import entrants
from simulations.scenario import load_scenario, load_variants
from tests.support.small import small_study
from tests.support.small_scenario import write_scenario

STUDY = small_study()
WIDE = STUDY.model_copy(update={"seed": 9})


def test_arms_are_of_the_study_or_of_a_variant() -> None:
    names = ("federated", "local_only", "wide", "wide/pooled", "wide/local_only")
    found = entrants(names, STUDY, {"wide": WIDE})
    assert [one.name for one in found] == list(names)
    assert [one.kind for one in found] == [
        "federated", "local_only", "federated", "pooled", "local_only",
    ]  # fmt: skip
    assert [one.study is WIDE for one in found] == [False, False, True, True, True]
    assert found[1].arms == ("local_only.north", "local_only.south")
    assert found[1].named("local_only.south") == "local_only.south"
    assert found[4].named("local_only.south") == "wide/local_only.south"
    assert found[3].named("pooled") == "wide/pooled"


@pytest.mark.parametrize(
    ("names", "problem"),
    [(["narrow"], "there is no arm narrow"), (["wide/none"], "there is no arm wide/none"),
     (["pooled", "pooled"], "named twice"), ([], "no arm")],
)  # fmt: skip
def test_what_is_not_there_is_told(names: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        entrants(names, STUDY, {"wide": WIDE})


def test_variants_are_laid_over_the_settled_study(tmp_path: Path) -> None:
    path = write_scenario(tmp_path)
    path.write_text(
        path.read_text() + "variants:\n"
        "  wide: {network: {h2: 99}}\n"
        "  slow: {phases: {fusion: {learning_rate: 0.0001}}}\n"
    )
    more = tmp_path / "more.yaml"
    more.write_text("wide: {network: {h2: 77}}\nplain: {imaging: {contrast: none}}\n")
    scenario, study = load_scenario(path)
    found = load_variants(path, study, more)
    assert list(found) == ["wide", "slow", "plain"]
    assert found["wide"].network.h2 == 77
    assert found["slow"].phases[2] != study.phases[2]
    assert found["slow"].imaging == study.imaging
    assert found["plain"].imaging.contrast == "none"
    alone, _ = load_scenario(write_scenario(tmp_path / "alone"))
    assert scenario.model_copy(update={"study": ""}).digest == alone.model_copy(
        update={"study": ""}
    ).digest, "variants must not make a run another run"  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [("wide: {network: {h3: 9}}", "line 1: wide.network.h3"),
     ("Wide: {}", "line 1"),
     ("pooled: {seed: 2}", "has the name of an arm"),
     ("two: {labels: {name: two, classes: [a, b]}}", "other labels")],
)  # fmt: skip
def test_a_faulty_variant_is_found_in_its_file(tmp_path: Path, text: str, problem: str) -> None:
    path = write_scenario(tmp_path)
    (tmp_path / "more.yaml").write_text(text)
    _, study = load_scenario(path)
    with pytest.raises(ConfigError, match=problem):
        load_variants(path, study, tmp_path / "more.yaml")
