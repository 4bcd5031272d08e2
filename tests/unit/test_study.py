import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from common.errors import ConfigError
from common.study.phases import PHASE_ORDER, BoosterPhase, FusionPhase
from common.study.schema import PROTOCOL, LabelSet, Study, load_study
from common.yaml_file import dump_yaml

LEAST = {
    "name": "trial",
    "sites": ["north", "south"],
    "quorum": 2,
    "labels": {"name": "two", "classes": ["a", "b"]},
}
TEXT = "name: trial\nsites: [north, south]\nquorum: 2\nlabels: {name: two, classes: [a, b]}\n"


def study(**changes: Any) -> Study:
    return Study.model_validate(LEAST | changes)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_a_short_file_and_the_full_one_are_the_same_study(tmp_path: Path) -> None:
    short = load_study(write(tmp_path, TEXT))
    full = load_study(write(tmp_path, dump_yaml(short)))
    assert short == full == study()
    assert short.digest == full.digest
    assert re.fullmatch("[0-9a-f]{64}", short.digest)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"seed": 2},
        {"sites": ["south", "north"]},
        {"quorum": 1},
        {"labels": {"name": "two", "classes": ["b", "a"]}},
        {"data": {"split": {"test": 0.3}}},
        {"imaging": {"size": 224}},
        {"network": {"h2": 64}},
        {"initial_model": "0" * 64},
        {"phases": [{"name": n, **({"eta": 0.5} if n == "booster" else {})} for n in PHASE_ORDER]},
    ],
)
def test_every_setting_changes_the_digest(change: dict[str, Any]) -> None:
    assert study(**change).digest != study().digest


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sites": ["north", "north"]}, "a site is named twice"),
        ({"sites": []}, "at least 1 item"),
        ({"sites": ["North"], "quorum": 1}, "should match pattern"),
        ({"quorum": 3}, "quorum 3 exceeds the 2 sites listed"),
        ({"labels": {"name": "one", "classes": ["a"]}}, "at least 2 items"),
        ({"labels": {"name": "two", "classes": ["a", "a"]}}, "a class is named twice"),
        ({"protocol": PROTOCOL + 1}, f"less than or equal to {PROTOCOL}"),
        ({"phases": [{"name": n} for n in reversed(PHASE_ORDER)]}, "phases must be, in this order"),
        ({"phases": [{"name": "census"}]}, "phases must be, in this order"),
        ({"initial_model": "abc"}, "should match pattern"),
        ({"network": {"backbones": [{"architecture": "x", "cut": "y"}] * 2}}, "another architect"),
        ({"seeds": 1}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        study(**change)


def test_a_study_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        study().seed = 7  # type: ignore[misc]


def test_a_phase_is_found_by_its_kind() -> None:
    phases = [{"name": n, **({"rounds": 9} if n == "fusion" else {})} for n in PHASE_ORDER]
    assert study(phases=phases).phase(FusionPhase).rounds == 9
    assert study().phase(BoosterPhase) == BoosterPhase()


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = TEXT.replace("quorum: 2", "quorum: 0") + "data: {split: {test: 1.5}}\nsize: 299\n"
    with pytest.raises(ConfigError, match="3 faults") as error:
        load_study(write(tmp_path, text))
    for line in ("line 3: quorum:", "line 5: data.split.test:", "line 6: size:"):
        assert line in error.value.problem


def test_label_sets_of_any_size_are_allowed() -> None:
    classes = tuple(f"class-{i}" for i in range(64))
    assert LabelSet(name="many", classes=classes).classes == classes


@pytest.mark.parametrize(
    "option",
    ["checkpoint_path", "cache_dir", "pretrained", "pretrained_cfg_overlay", "num_classes"],
)
def test_a_study_names_no_file_and_no_download_at_a_hospital(option: str) -> None:
    backbone = {"architecture": "inception_v3", "cut": "Mixed_7b", "options": {option: "x"}}
    with pytest.raises(ValidationError, match=f"names no file or download \\({option}\\)"):
        study(network={"backbones": [backbone]})


def test_a_grid_whose_edges_do_not_ascend_is_refused_before_anything_is_trained() -> None:
    phases = [{"name": n, **({"grid": {"lowest": 5, "highest": 1}} if n == "booster" else {})}
              for n in PHASE_ORDER]  # fmt: skip
    with pytest.raises(ValidationError, match="no grid of 32 levels between"):
        study(phases=phases)
