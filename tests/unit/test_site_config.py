from pathlib import Path

import pytest

from client.site_config import Limits, Numerics, load_site_config, rehearsal_config
from common.errors import ConfigError

TEXT = """\
name: north
images: {manifest: smears/manifest.csv}
state: /var/lib/leukofed
cache: {folder: ../fast}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return path


def test_relative_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    config = load_site_config(write(tmp_path, TEXT + "weights: weights\n"))
    assert config.images.manifest == tmp_path / "smears" / "manifest.csv"
    assert config.cache.folder == tmp_path / ".." / "fast"
    assert config.weights == tmp_path / "weights"
    assert config.state == Path("/var/lib/leukofed")


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    config = load_site_config(write(tmp_path, TEXT))
    assert config.weights is None
    assert config.numerics == "auto"
    assert config.limits == Limits()
    assert config.images.only == {}


def test_numerics_may_be_settled(tmp_path: Path) -> None:
    config = load_site_config(write(tmp_path, TEXT + "numerics: {precision: bfloat16, threads: 4}"))
    assert config.numerics == Numerics(precision="bfloat16", threads=4)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("limits: {phases: [census, mining]}", r"line 5: limits\.phases\[1\]"),
        ("limits: {most_rounds: 0}", r"line 5: limits\.most_rounds"),
        ("limits: {fewest_examples: -1}", r"line 5: limits\.fewest_examples"),
        ("learning_rate: 1", "line 5: learning_rate: Extra inputs"),
        ("numerics: fast", "line 5: numerics: Input should be 'auto'"),
        ("name: south", "line 5: name: given twice"),
    ],
)
def test_a_fault_is_named_by_key_and_line(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_site_config(write(tmp_path, f"{TEXT}{line}\n"))


def test_a_site_name_is_plain(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 1: name: String should match pattern"):
        load_site_config(write(tmp_path, TEXT.replace("north", "../north")))


def test_words_stand_for_classes_or_for_nothing(tmp_path: Path) -> None:
    text = TEXT + "labels: {ALL L1: Early, hematogone: Benign, unclear: null}\n"
    config = load_site_config(write(tmp_path, text))
    assert config.labels == {"ALL L1": "Early", "hematogone": "Benign", "unclear": None}
    assert rehearsal_config(config).labels == {}  # generated images have the study's own
    with pytest.raises(ConfigError, match="labels: a word is given twice"):
        load_site_config(write(tmp_path, TEXT + "labels: {ALL L1: Early, all-l1: Pre}\n"))
