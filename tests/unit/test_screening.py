import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from client.data.manifest import Example
from common.errors import CorruptFile, DataError
from common.seeds import stream
from simulations.folds import group_folds
from simulations.screening import Account, Ground, counted, read_ground, score, table
from tests.support.small import write_smears

CLASSES = ("Benign", "Early", "Pre", "Pro")
REPLICATES = 200


def ground(divisions: int = 2, count: int = 96) -> Ground:
    examples = tuple(
        Example(Path(f"{i}.png"), i // 4 % 4, f"group {i // 4}", digest=f"{i:064}")
        for i in range(count)
    )
    labels = np.array([e.label for e in examples], dtype=np.int64)
    groups = [e.group for e in examples]
    divided = tuple(tuple(group_folds(labels, groups, 3, seed)) for seed in range(divisions))
    return Ground(examples, CLASSES, divided)


def guesses(of: Ground, share_right: float, seed: int) -> NDArray[np.int64]:
    """Predictions of every division, so often right."""
    generator = np.random.default_rng(seed)
    shape = (len(of.divisions), len(of.examples))
    wrong = generator.integers(4, size=shape)
    return np.where(generator.random(shape) < share_right, of.labels, wrong).astype(np.int64)


def resampled(of: Ground, replicate: int) -> list[int]:
    """Image numbers of a replicate, drawn group by group."""
    names, number = np.unique(of.groups, return_inverse=True)
    drawn = stream(0, "bootstrap").multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=REPLICATES
    )[replicate]
    return [i for i in range(len(of.examples)) for _ in range(drawn[number[i]])]


def test_figures_are_scikit_learns_over_all_divisions() -> None:
    here = ground()
    predicted = guesses(here, 0.7, 1)
    found = score(counted(here, predicted, REPLICATES), None)
    truth = np.tile(here.labels, 2)
    assert found.accuracy == pytest.approx(accuracy_score(truth, predicted.ravel()))
    assert found.macro_f1 == pytest.approx(f1_score(truth, predicted.ravel(), average="macro"))
    assert found.gain is None
    assert not found.is_shown


def test_a_paired_bootstrap_resamples_whole_groups_of_both_arms_together() -> None:
    """Image by image, with scikit-learn: no counts, no sums of counts."""
    here = ground()
    ours, theirs = guesses(here, 0.8, 1), guesses(here, 0.6, 2)
    gains, own = [], []
    for replicate in range(REPLICATES):
        chosen = resampled(here, replicate)
        truth = np.tile(here.labels[chosen], 2)
        pair = [
            f1_score(
                truth, p[:, chosen].ravel(), average="macro", labels=np.unique(truth),
                zero_division=0,
            )
            for p in (ours, theirs)
        ]  # fmt: skip
        own.append(pair[0])
        gains.append(pair[0] - pair[1])
    reference = counted(here, theirs, REPLICATES)
    found = score(counted(here, ours, REPLICATES), reference)
    assert found.gain is not None
    interval = np.array(found.gain.interval, dtype=np.float64)
    np.testing.assert_allclose(interval, np.percentile(gains, (2.5, 97.5)), atol=1e-12)
    np.testing.assert_allclose(found.macro_f1_interval, np.percentile(own, (2.5, 97.5)), atol=1e-12)
    assert found.is_shown


def test_an_arm_compared_with_its_equal_gains_nothing() -> None:
    here = ground()
    same = counted(here, guesses(here, 0.7, 1), REPLICATES)
    found = score(same, same)
    assert found.gain is not None
    assert (found.gain.value, found.gain.interval) == (0.0, (0.0, 0.0))
    assert not found.is_shown


def test_no_division_is_told() -> None:
    with pytest.raises(DataError, match="no division"):
        counted(ground(), np.empty((0, 96), dtype=np.int64), REPLICATES)


def test_an_account_goes_on_with_what_was_measured(tmp_path: Path) -> None:
    here, file = ground(), tmp_path / "arms" / "out.json"
    account = Account(file, here, REPLICATES)
    account.add("plain", {"contrast": "none"}, guesses(here, 0.6, 1), 1.0)
    account.add("camsr", {"contrast": "camsr"}, guesses(here, 0.9, 2), 2.26)
    again = Account(file, here, REPLICATES)
    assert again.holds("camsr", {"contrast": "camsr"})
    assert not again.holds("camsr", {"contrast": "clahe"})
    assert not again.holds("clahe", {"contrast": "clahe"})
    assert again.seconds("camsr") == 2.3
    assert again.scores("plain") == account.scores("plain")
    assert list(again.scores()) == ["plain", "camsr"]
    assert again.score("plain", "plain").gain is None
    assert again.score("camsr", "not measured").gain is None


def test_a_table_marks_what_is_shown() -> None:
    here = ground()
    account = Account(None, here, REPLICATES)
    account.add("plain", {}, guesses(here, 0.6, 1), 1.0)
    account.add("better", {}, guesses(here, 0.95, 2), 1.0)
    lines = table(account.scores("plain"), "plain").splitlines()
    assert lines[0] == "| arm | accuracy | macro F1 | macro F1 minus plain's |"
    assert lines[2].startswith("| plain | 0.") and lines[2].endswith("|  |")  # noqa: PT018
    assert lines[3].startswith("| better | 0.") and "| **+0." in lines[3]  # noqa: PT018


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ground": "other", "arms": {}}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "out.json"
    file.write_text(text)
    with pytest.raises(CorruptFile, match="the file of earlier arms"):
        Account(file, ground(), REPLICATES)


def test_another_division_is_another_ground(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    Account(file, ground(), REPLICATES).add("plain", {}, guesses(ground(), 0.5, 1), 1.0)
    assert json.loads(file.read_text())["ground"] == ground().digest
    with pytest.raises(CorruptFile, match="other images or folds"):
        Account(file, ground(divisions=1), REPLICATES)
    with pytest.raises(CorruptFile, match="other images or folds"):
        Account(file, ground().leaky(), REPLICATES)


def test_a_ground_is_read_from_a_manifest(tmp_path: Path) -> None:
    examples = write_smears(tmp_path, 36)
    lines = [
        f"{example.image.name},{CLASSES[number % 4]},S{number % 12},F{number // 2 % 12}"
        for number, example in enumerate(examples)
    ]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(["path,label,stain_cluster,field", *lines]))
    found = read_ground(manifest, CLASSES, (), folds=2, divisions=3)
    assert len(found.examples) == 36
    assert len(set(found.groups)) == 12
    assert [len(folds) for folds in found.divisions] == [2, 2, 2]
    fewer = read_ground(manifest, CLASSES, (), folds=2, divisions=1, images=24)
    assert len(fewer.examples) == 24
    assert set(fewer.groups) == set(found.groups)
    leaky = found.leaky()
    assert leaky.is_leaky
    assert [len(folds) for folds in leaky.divisions] == [2, 2, 2]
    with pytest.raises(DataError, match="too few"):
        read_ground(manifest, CLASSES, ("field",), folds=2, divisions=1)
