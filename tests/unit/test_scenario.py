import csv
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue

from common.errors import ConfigError
from common.study.imaging import Crop
from common.study.phases import BoosterPhase, EvaluationPhase
from common.study.schema import Study, load_study
from common.yaml_file import dump_yaml
from simulations.division import BalancedGroups, ByColumn, ByFile
from simulations.partition import partition
from simulations.scenario import (
    ARM_NAMES,
    ManifestData,
    SyntheticData,
    load_scenario,
    merged,
    shipped_scenarios,
)
from simulations.synthetic import SiteShare, SyntheticSettings, write_dataset

STUDY = """\
name: small
sites: [north, south]
quorum: 2
labels: {name: two, classes: [a, b]}
imaging: {size: 64, contrast: none}
"""
SCENARIO = """\
name: trial
study: studies/small.yaml
data: {kind: manifest, needs: images}
partition: {by: iid}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "small.yaml").write_text(STUDY)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "trial.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str) -> list[str]:
    path = written(folder, text)
    with pytest.raises(ConfigError) as error:
        load_scenario(path)
    head, *lines = error.value.problem.splitlines()
    assert head.startswith(f"{path} has ")
    return [line.strip() for line in lines]


def test_without_settings_the_study_is_the_file(folder: Path) -> None:
    scenario, study = load_scenario(written(folder, SCENARIO))
    assert study == load_study(folder / "studies" / "small.yaml")
    assert scenario.arms == ARM_NAMES
    assert scenario.data == ManifestData(kind="manifest", needs="images")


def test_settings_change_only_what_they_name(folder: Path) -> None:
    settings = """\
settings:
  seed: 7
  imaging: {crop: {bottom: 0.25}}
  phases:
    booster: {grid: {levels: 16}}
    evaluation: {replicates: 30}
"""
    _, base = load_scenario(written(folder, SCENARIO))
    _, study = load_scenario(written(folder, SCENARIO + settings))
    assert (study.seed, study.imaging.size, study.imaging.crop) == (7, 64, Crop(bottom=0.25))
    assert study.phase(EvaluationPhase).replicates == 30
    assert study.phase(BoosterPhase).grid.levels == 16
    changed = {"seed", "imaging", "phases"}
    assert study.model_dump(exclude=changed) == base.model_dump(exclude=changed)
    assert study.phases[:3] == base.phases[:3]


def test_the_study_is_as_if_written_out_by_hand(folder: Path) -> None:
    text = f"{SCENARIO}settings: {{sites: [a, b, c], labels: {{classes: [x, y]}}}}\n"
    _, study = load_scenario(written(folder, text))
    by_hand = {**yaml.safe_load(STUDY), "sites": ["a", "b", "c"]}
    by_hand["labels"]["classes"] = ["x", "y"]
    assert study == Study.model_validate(by_hand)


def test_a_fault_in_the_settings_is_found_in_the_scenario_file(folder: Path) -> None:
    settings = """\
settings:
  imaging:
    crop: {bottom: 2}
    colour: red
  phases:
    fusion:
      rounds: 0
"""
    assert faults(folder, SCENARIO + settings) == [
        "line 7: settings.imaging.crop.bottom: Input should be less than or equal to 0.9",
        "line 8: settings.imaging.colour: Extra inputs are not permitted",
        "line 11: settings.phases.fusion.rounds: Input should be greater than or equal to 1",
    ]


def test_a_phase_that_does_not_exist_is_named(folder: Path) -> None:
    settings = "settings:\n  phases:\n    bosting: {rounds: 2}\n"
    (fault,) = faults(folder, SCENARIO + settings)
    assert fault.startswith("line 6: settings.phases: Input tag 'bosting' found")


def test_a_rule_over_several_keys_is_still_kept(folder: Path) -> None:
    assert faults(folder, SCENARIO + "settings: {quorum: 3}\n") == [
        "line 5: settings: quorum 3 exceeds the 2 sites listed"
    ]


def test_a_fault_in_the_study_is_found_in_the_study_file(folder: Path) -> None:
    study = folder / "studies" / "small.yaml"
    study.write_text(STUDY.replace("quorum: 2", "quorum: 0"))
    with pytest.raises(ConfigError, match=r"small\.yaml has 1 fault:\n  line 3: quorum"):
        load_scenario(written(folder, SCENARIO))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("by: iid", "by: luck", "line 4: partition: Input tag 'luck' found"),
        ("kind: manifest", "kind: web", "line 3: data: Input tag 'web' found"),
        (", needs: images", "", "line 3: data.needs: Field required"),
        ("name: trial", "name: Trial 1", "line 1: name: String should match"),
        ("by: iid", "by: iid, column: site", "line 4: partition.column: Extra inputs"),
        ("by: iid", "by: iid, parts: {test: 0.9}", "line 4: partition.parts: split: validation"),
        ("name: trial", "arms: [pooled]\nname: trial", "line 1: the file: arms: federated must"),
        ("name: trial", "settings: no\nname: trial", "line 1: settings: Input should be a valid"),
    ],
)
def test_faults_of_the_scenario_itself(folder: Path, old: str, new: str, fault: str) -> None:
    found = faults(folder, SCENARIO.replace(old, new))
    assert found[0].startswith(fault)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("sed: 1", "line 6: data.settings.sed: Extra inputs are not permitted"),
        ("fields: 0", "line 6: data.settings.fields: Input should be greater"),
        ("size: 8", "line 6: data.settings.size: Input should be greater"),
        ("validation: -1", "line 6: data.settings.validation: Input should be greater"),
        ("sites: []", "line 5: data.settings: sites: name at least one"),
        ("sites: [{name: ../a, train: [1, 1, 1, 1]}]", "line 6: data.settings.sites[0].name"),
        ("sites: [{name: a, train: [1, 1, 1]}]", "line 6: data.settings.sites[0].train"),
    ],
)
def test_what_cannot_be_generated_is_refused(folder: Path, settings: str, fault: str) -> None:
    data = f"data:\n  kind: synthetic\n  settings:\n    {settings}\n"
    text = SCENARIO.replace("data: {kind: manifest, needs: images}\n", data)
    (found,) = faults(folder, text)
    assert found.startswith(fault)


def test_an_unknown_name_lists_those_that_ship() -> None:
    with pytest.raises(ConfigError, match="there is no scenario taleqani") as error:
        load_scenario("taleqani")
    assert "synthetic, taleqani-3-sites" in error.value.fix


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*absent\.yaml"):
        load_scenario(tmp_path / "absent.yaml")


@pytest.mark.parametrize("name", sorted(shipped_scenarios()))
def test_each_shipped_scenario_is_sound_and_named_like_its_file(name: str) -> None:
    scenario, study = load_scenario(name)
    assert scenario.name == name
    assert (scenario, study) == load_scenario(shipped_scenarios()[name])
    assert len(study.sites) == 3


def test_the_taleqani_scenario_is_the_papers_study_without_the_scale_bar() -> None:
    scenario, study = load_scenario("taleqani-3-sites")
    paper = load_study(shipped_scenarios()["synthetic"].parents[1] / "studies/xincept-all.yaml")
    assert round((1 - study.imaging.crop.bottom) * 224) == 192
    plain = {"name": paper.name, "imaging": paper.imaging}
    assert study.model_copy(update=plain) == paper
    assert isinstance(scenario.partition, BalancedGroups)
    assert set(scenario.partition.together) == {"stain_cluster", "field"}


def test_the_generator_names_the_sites_of_the_synthetic_study(tmp_path: Path) -> None:
    scenario, study = load_scenario("synthetic")
    assert isinstance(scenario.data, SyntheticData)
    assert isinstance(scenario.partition, ByColumn)
    few = SyntheticSettings(
        sites=tuple(
            SiteShare(name=s.name, train=(1, 1, 1, 1)) for s in scenario.data.settings.sites
        ),
        test=1, fields=1, size=32,
    )  # fmt: skip
    manifest = write_dataset(tmp_path / "smears", few)
    rows = partition(manifest, scenario.partition, study.seed, study.sites)
    with manifest.open(newline="") as file:
        assert rows == list(csv.DictReader(file))
    assert {row["label"] for row in rows} <= set(study.labels.classes)


def test_the_digest_tells_scenarios_apart(folder: Path) -> None:
    first, _ = load_scenario(written(folder, SCENARIO))
    again, _ = load_scenario(written(folder, f"# a comment\n{SCENARIO}"))
    other, _ = load_scenario(written(folder, f"{SCENARIO}arms: [federated]\n"))
    assert first.digest == again.digest != other.digest
    exported, _ = load_scenario(written(folder, f"{SCENARIO}exports: [csv]\n"))
    assert exported.digest == first.digest  # the same is computed


def test_a_partitions_file_is_found_beside_the_scenario_and_counts_by_what_it_holds(
    folder: Path,
) -> None:
    text = SCENARIO.replace("{by: iid}", "{by: file, file: sites.csv}")
    with pytest.raises(ConfigError, match=r"there is no sites\.csv"):
        load_scenario(written(folder, text))
    (folder / "sites.csv").write_text("path,site,split\n")
    first, _ = load_scenario(written(folder, text))
    assert isinstance(first.partition, ByFile)
    assert Path(first.partition.file) == (folder / "sites.csv").resolve()
    (folder / "other.csv").write_text("path,site,split\n")
    other, _ = load_scenario(written(folder, text.replace("sites.csv", "other.csv")))
    assert other.digest == first.digest
    before = first.digest
    (folder / "sites.csv").write_text("path,site,split\na.png,north,train\n")
    assert first.digest != before


def test_a_written_scenario_is_read_back(folder: Path) -> None:
    scenario, study = load_scenario(written(folder, f"{SCENARIO}settings: {{seed: 9}}\n"))
    assert load_scenario(written(folder, dump_yaml(scenario))) == (scenario, study)


def test_merging_by_hand() -> None:
    document: JsonValue = {
        "a": 1,
        "b": {"c": 2, "d": [1, 2]},
        "p": [{"name": "x", "n": 1}, {"name": "y"}],
    }
    changes: JsonValue = {"b": {"d": [3]}, "p": {"y": {"n": 5}}, "e": {"f": 1}}
    assert merged(document, changes) == {
        "a": 1,
        "b": {"c": 2, "d": [3]},
        "p": [{"name": "x", "n": 1}, {"name": "y", "n": 5}],
        "e": {"f": 1},
    }
    assert merged({"a": {"b": 1}}, {"a": None}) == {"a": None}
    assert merged({"a": [1, 2]}, {"a": {"b": 1}}) == {"a": {"b": 1}}
