from pathlib import Path

import pytest

import configs
from client.site_config import Limits, load_site_config
from common.study.schema import Study, load_study

FOLDER = Path(configs.__file__).parent
STUDIES = sorted((FOLDER / "studies").glob("*.yaml"))
SITES = sorted((FOLDER / "sites").glob("*.yaml"))


def test_there_are_examples() -> None:
    assert "xincept-all" in {path.stem for path in STUDIES}
    assert [path.name for path in SITES] == ["hospital.example.yaml"]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_each_study_is_sound_and_named_like_its_file(path: Path) -> None:
    assert load_study(path).name == path.stem


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.name)
def test_each_site_file_is_sound_and_ready_for_a_worker(path: Path) -> None:
    config = load_site_config(path)
    assert config.name
    assert config.coordinator is not None


def test_the_papers_study_is_the_default_one() -> None:
    """What the file spells out for its readers is what leaving it out means."""
    study = load_study(FOLDER / "studies" / "xincept-all.yaml")
    assert study.labels.classes == ("Benign", "Early", "Pre", "Pro")
    assert study == Study(
        name=study.name, sites=study.sites, quorum=study.quorum, labels=study.labels
    )


def test_the_example_hospital_keeps_the_default_limits() -> None:
    assert load_site_config(FOLDER / "sites" / "hospital.example.yaml").limits == Limits()
