"""Doubtful labels: on numbers whose answer is known, and on generated smears with wrong labels."""

import csv
import stat
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray

from client.cli.main import main
from client.quality.confidence import out_of_fold, suspects
from client.site_config import Quality
from common.errors import DataError
from common.imaging.synthetic import PROFILES, draw_patient, site_style, smear_field
from common.seeds import stream
from tests.support.small import small_study

CLASSES = ("Benign", "Pro")
IMAGES = 160
RECALL, PRECISION = 0.6, 0.6  # as docs/data.md states them, section Quality


def blobs(count: int, classes: int = 4) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """Draw images as points around their class, in groups of five of one class."""
    generator = np.random.default_rng(5)
    labels = np.repeat(np.arange(count // 5) % classes, 5).astype(np.int64)
    centres = 4 * generator.standard_normal((classes, 20))
    points = centres[labels] + generator.standard_normal((count, 20))
    return points.astype(np.float32), labels, [f"g{i // 5}" for i in range(count)]


def test_wrong_labels_among_separate_classes_are_found() -> None:
    points, truth, groups = blobs(400)
    labels = truth.copy()
    wrong = np.random.default_rng(6).choice(400, 20, replace=False)
    labels[wrong] = (labels[wrong] + 1 + np.arange(20) % 3) % 4
    found = suspects(out_of_fold(points, labels, groups, 1), labels, Quality())
    numbers = {one.number for one in found}
    assert numbers <= set(wrong.tolist())
    assert len(numbers) >= 0.85 * len(wrong)
    assert all(one.likely == truth[one.number] for one in found)
    assert all(one.given == labels[one.number] for one in found)
    doubt = [one.given_probability - one.likely_probability for one in found]
    assert doubt == sorted(doubt)


def test_an_image_is_predicted_from_other_groups_alone() -> None:
    """Features that name the group, and nothing else, tell nothing of another group's label."""
    _, labels, groups = blobs(400)
    names = sorted(set(groups))
    features = np.zeros((400, len(names)), np.float32)
    features[np.arange(400), [names.index(group) for group in groups]] = 1
    found = out_of_fold(features, labels, groups, 1)
    assert (found.argmax(axis=1) == labels).mean() < 0.5
    leaked = out_of_fold(features, labels, [str(i) for i in range(400)], 1)
    assert (leaked.argmax(axis=1) == labels).mean() > 0.95


def test_thresholds_are_those_of_confident_learning() -> None:
    """Two classes by hand: t_0 = (0.9 + 0.7 + 0.1) / 3 = 0.57, t_1 = (0.6 + 0.8) / 2 = 0.7."""
    labels = np.array([0, 0, 0, 1, 1])
    own = np.array([0.9, 0.7, 0.1, 0.6, 0.8])
    second = np.where(labels == 1, own, 1 - own)
    probabilities = np.stack([1 - second, second], axis=1)
    (one,) = suspects(probabilities, labels, Quality(suspect_given=0.5, suspect_other=0.5))
    assert (one.number, one.given, one.likely) == (2, 0, 1)
    np.testing.assert_allclose((one.given_probability, one.likely_probability), (0.1, 0.9))
    assert suspects(probabilities, labels, Quality(suspect_given=0.05)) == []
    assert suspects(probabilities, labels, Quality(suspect_other=0.95)) == []


@pytest.mark.parametrize(
    ("labels", "groups"), [([0, 0, 0, 0], "abcd"), ([0, 0, 1, 1], "aabb"), ([0, 0, 0, 1], "abcd")]
)
def test_too_little_to_compare_is_said(labels: Sequence[int], groups: str) -> None:
    with pytest.raises(DataError, match="cannot be compared"):
        out_of_fold(np.eye(4, dtype=np.float32), np.array(labels), list(groups), 1)


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A site of 160 smears of one laboratory, of which a twentieth bear the wrong label."""
    place = tmp_path_factory.mktemp("mislabelled")
    style = site_style(stream(2, "labels"))
    wrong = set(np.random.default_rng(8).choice(IMAGES, IMAGES // 20, replace=False).tolist())
    rows = []
    for number in range(IMAGES):
        patient_number = number // 3
        generator = stream(2, "labels", patient_number)
        patient = draw_patient(generator, PROFILES[3 * (patient_number % 2)])
        image = smear_field(stream(2, "labels", patient_number, number), patient, style, 80)
        cv2.imwrite(str(place / f"{number}.png"), image[..., ::-1])
        label = CLASSES[(patient_number + (number in wrong)) % 2]
        rows.append(f"{number}.png,{label},p{patient_number}")
    (place / "manifest.csv").write_text("path,label,patient\n" + "\n".join(rows) + "\n")
    (place / "site.yaml").write_text(
        "name: north\nimages: {manifest: manifest.csv}\nstate: state\ncache: {folder: cache}\n"
        "numerics: {precision: float32, threads: 1}\n"
    )
    study = small_study(
        imaging={"size": 64, "contrast": "none"}, labels={"name": "two", "classes": CLASSES}
    )
    (place / "study.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")))
    return place, {f"{number}.png" for number in wrong}


def test_wrong_labels_of_smears_are_found_as_the_manual_says(
    mislabelled: tuple[Path, set[str]],
) -> None:
    place, wrong = mislabelled
    listed = place / "suspects.csv"
    command = ["suspects", "--site", str(place), "--study", str(place / "study.yaml")]
    done = CliRunner().invoke(main, [*command, "--list", str(listed)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    with listed.open(newline="") as lines:
        found = {row["path"] for row in csv.DictReader(lines)}
    assert len(found & wrong) / len(wrong) >= RECALL
    assert len(found & wrong) / len(found) >= PRECISION
    assert f"{len(found)} of {IMAGES} labels are suspect" in done.output
    for written in (listed, place / "state" / "suspects.png"):
        assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_a_study_must_be_named_where_none_is_approved(mislabelled: tuple[Path, set[str]]) -> None:
    done = CliRunner().invoke(main, ["suspects", "--site", str(mislabelled[0])])
    assert (done.exit_code, "0 studies are approved" in done.output) == (1, True)
