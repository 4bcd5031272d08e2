from dataclasses import replace

import pytest

from common.asks import CensusTold
from common.model_card import Account, Measure, model_card
from tests.support.exchanges import STUDY

PARTS = ("train", "validation", "test")


def told(grouped_by: str = "patient") -> CensusTold:
    return CensusTold(
        fewest_examples=5,
        examples={
            "train": {"a": 61, "b": 52}, "validation": {"a": 13, "b": 12}, "test": {"a": 14},
        },
        withheld={"train": (), "validation": (), "test": ("b",)},
        groups=dict.fromkeys(PARTS, 4),
        grouped_by=grouped_by,
        excluded={},
        weights={"inception_v3": "5" * 64, "legacy_xception": "6" * 64},
        software={},
        numerics={},
    )  # fmt: skip


ACCOUNT = Account(
    run="run-7",
    version="9.8.7",
    census={"south": told(), "north": told()},
    measures=(
        Measure("booster", "macro F1", 0.91234, 0.85, 0.95),
        Measure("softmax", "calibration error", 0.03),
    ),
    initial_model="7" * 64,
    is_synthetic=False,
)


def test_it_states_what_a_reader_must_know() -> None:
    text = model_card(STUDY, ACCOUNT)
    for fact in (
        "not a diagnostic device", "a, b.", "| north | patient | 61 / 13 / 14 | 52 / 12 / < 5 |",
        "| booster | macro F1 | 0.912 (0.850 to 0.950) |",
        "| softmax | calibration error | 0.030 |", "contrast: camsr", "Federation alone is not",
        "frozen BatchNorm", "no epsilon", STUDY.digest, "run-7", "9.8.7", "7" * 64, "5" * 64,
    ):  # fmt: skip
        assert fact in text
    assert text.index("| north |") < text.index("| south |")


@pytest.mark.parametrize("grouping", ["stain_cluster", "field", "image"])
def test_a_split_that_is_not_by_patient_is_said(grouping: str) -> None:
    census = {**ACCOUNT.census, "south": told(grouping)}
    text = model_card(STUDY, replace(ACCOUNT, census=census))
    assert f"kept apart by {grouping}, because their patients are unknown" in text
    assert "patients are unknown" not in model_card(STUDY, ACCOUNT)


def test_generated_images_are_said() -> None:
    assert "generated images" in model_card(STUDY, replace(ACCOUNT, is_synthetic=True))
    assert "generated images" not in model_card(STUDY, ACCOUNT)


def test_a_run_that_lost_sites_is_told_before_anything_else() -> None:
    text = model_card(STUDY, replace(ACCOUNT, losses="Of 11 rounds: 5 without west"))
    assert text.splitlines()[:4] == [
        "# Model card: trial", "",
        "**Incomplete: not every site took part in every round.** Of 11 rounds: 5 without west.",
        "",
    ]  # fmt: skip
    assert "Incomplete" not in model_card(STUDY, ACCOUNT)


def test_a_rehearsal_cannot_be_taken_for_a_model() -> None:
    text = model_card(STUDY, replace(ACCOUNT, is_rehearsal=True, is_synthetic=True))
    assert text.startswith("# Rehearsal, generated images: trial\n\n**This is what a rehearsal")
    assert "Rehearsal" not in model_card(STUDY, replace(ACCOUNT, is_synthetic=True))
