import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import JsonValue

from common.errors import ConfigError
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase
from simulations.sweep.account import chosen, revealed, table, write_account
from simulations.sweep.candidates import Candidate, candidates, rungs, shortened
from simulations.sweep.fields import Range, fields_of, read_axis, varied
from simulations.sweep.picture import draw
from simulations.sweep.runner import _ended, most_jobs
from simulations.sweep.sweep import Trial
from simulations.sweep.trial import Task, ValidationScore
from tests.support.metrics_builder import build_metrics
from tests.support.small import small_study

STUDY = small_study()


def score(macro_f1: float | None, log_loss: float | None = 0.5) -> ValidationScore:
    return ValidationScore(
        macro_f1=macro_f1, log_loss=log_loss, accuracy=0.9, softmax_macro_f1=0.8,
        softmax_log_loss=0.6, examples=40, seconds=12.5,
    )  # fmt: skip


def trials(*told: tuple[int, ValidationScore | None, int]) -> list[Trial]:
    """Build trials of h2 from its value, its score, and by what its rounds are divided."""
    found = []
    for number, (h2, reached, divisor) in enumerate(told, start=1):
        study, values = varied(STUDY, {"network.h2": h2})
        candidate = Candidate(number, values, study)
        found.append(Trial(candidate, divisor, Path(f"/trials/{number}"), reached))
    return sorted(found, key=lambda trial: trial.rank)


def test_a_field_is_set_by_its_path_and_everything_else_stays() -> None:
    study, values = varied(
        STUDY,
        {
            "network.h2": "16",
            "phases.fusion.learning_rate": "1e-3",
            "network.backbones.1.cut": "stages.1",
            "imaging.contrast": "clahe",
        },
    )
    assert study.network.h2 == 16
    assert study.phase(FusionPhase).learning_rate == 1e-3
    assert study.phase(BackbonesPhase) == STUDY.phase(BackbonesPhase)
    assert study.network.backbones[1].cut == "stages.1"
    assert study.network.backbones[0] == STUDY.network.backbones[0]
    assert values["phases.fusion.learning_rate"] == 0.001  # as the study has it, not as typed
    assert varied(study, {"network.h2": 4, "phases.fusion.learning_rate": 5e-4})[0].imaging == (
        study.imaging
    )


def test_every_field_that_is_listed_can_be_set() -> None:
    document = STUDY.model_dump(mode="json")
    fields = list(fields_of(document))
    assert {"seed", "network.backbones.0.cut", "phases.booster.grid.levels"} <= set(fields)
    for field in fields:
        place: Any = document
        for step in field.split("."):
            if isinstance(place, list):
                (place,) = (p for i, p in enumerate(place) if step in (str(i), p.get("name")))
            else:
                place = place[step]
        assert varied(STUDY, {field: place})[0] == STUDY


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("phases.backbones.rate", "phases.backbones.learning_rate"),
        ("network.h3", "network.h2"),
        ("learning_rate", "phases.backbones.learning_rate"),
        ("phases.boosters.eta", "phases.booster.eta"),
        ("network.backbones.5.cut", "network.backbones.0.cut"),
        ("imaging.contrast.kind", "imaging.contrast"),
    ],
)
def test_a_wrong_path_gives_near_matches(field: str, meant: str) -> None:
    with pytest.raises(ConfigError) as raised:
        varied(STUDY, {field: 1})
    assert raised.value.problem == f"the study has no field {field}"
    assert meant in raised.value.fix


def test_a_value_that_no_study_can_have_is_told_with_its_field() -> None:
    with pytest.raises(ConfigError, match=r"no study can have network.h2=1: network.h2: .*2"):
        varied(STUDY, {"network.h2": 1})
    with pytest.raises(ConfigError, match="quorum 3 exceeds the 2 sites"):
        varied(STUDY, {"quorum": 3})


def test_values_are_read_as_yaml_and_lists_are_kept_together() -> None:
    assert read_axis("a.b = 4, 8").values == (4, 8)
    assert read_axis("a=none,null,true").values == ("none", None, True)
    assert read_axis("a=[x, y],[]").values == (["x", "y"], [])
    assert read_axis("a={b: 1, c: 2},{b: 3, c: 4}").values == ({"b": 1, "c": 2}, {"b": 3, "c": 4})
    assert read_axis("a=1e-5..1e-3").values == Range(1e-5, 1e-3, is_whole=False)
    assert read_axis("a=4..64").values == Range(4, 64, is_whole=True)
    for wrong in ("a", "a=", "=3", "a=0..1", "a=3..2", "a=[x"):
        with pytest.raises(ConfigError):
            read_axis(wrong)


def test_draws_are_log_uniform_and_within_the_range() -> None:
    generator = np.random.default_rng(1)
    drawn = np.array([Range(1e-5, 1e-3, False).drawn(generator) for _ in range(4000)], dtype=float)
    assert 1e-5 <= drawn.min() < 1.02e-5
    assert 0.98e-3 < drawn.max() <= 1e-3
    logs = np.log10(drawn)
    assert abs(logs.mean() + 4) < 0.03  # the middle of -5 and -3
    assert abs(logs.std() - 2 / np.sqrt(12)) < 0.02
    whole = [Range(2, 5, True).drawn(generator) for _ in range(2000)]
    assert set(whole) == {2, 3, 4, 5}
    shares = np.log([2.5 / 1.5, 3.5 / 2.5, 4.5 / 3.5, 5.5 / 4.5]) / np.log(5.5 / 1.5)
    found = np.bincount(np.array(whole, dtype=int), minlength=6)[2:] / 2000
    np.testing.assert_allclose(found, shares, atol=0.04)


def test_a_grid_has_every_combination_and_each_study_once() -> None:
    axes = [read_axis("network.h2=2,4"), read_axis("phases.booster.eta=0.3,0.6,0.30")]
    found = candidates(STUDY, axes, None)
    assert [tuple(one.values.values()) for one in found] == [
        (2, 0.3), (2, 0.6), (4, 0.3), (4, 0.6)
    ]  # fmt: skip
    assert [one.number for one in found] == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match="a range has no end"):
        candidates(STUDY, [read_axis("network.h2=2..4")], None)
    with pytest.raises(ConfigError, match="swept twice"):
        candidates(STUDY, [axes[0], axes[0]], None)


def test_more_random_draws_begin_with_those_of_fewer() -> None:
    axes = [read_axis("phases.fusion.learning_rate=1e-5..1e-2"), read_axis("network.h2=2,4,8")]
    few, many = candidates(STUDY, axes, 5), candidates(STUDY, axes, 9)
    assert [one.values for one in many[:5]] == [one.values for one in few]
    assert len(many) == 9
    assert candidates(STUDY, axes, 5) == few


def test_rungs_follow_successive_halving() -> None:
    # Algorithm 1 with n=8, eta=2: 8, 4, 2 and 1 studies, whose rounds double.
    study = small_study(phases=phases(tail=8))
    assert rungs(8, study, 2) == [8, 4, 2, 1]
    assert rungs(9, study, 3) == [3, 1]  # a ninth of 8 rounds would be none
    assert rungs(1, study, 2) == [1]
    assert rungs(100, small_study(phases=phases(tail=1)), 2) == [4, 2, 1]  # fusion has 6 rounds


def phases(tail: int) -> tuple[object, ...]:
    return tuple(
        phase.model_copy(update={"tail_rounds": tail})
        if isinstance(phase, BackbonesPhase)
        else phase
        for phase in STUDY.phases
    )


def test_a_shortened_study_has_fewer_rounds_and_is_otherwise_the_same() -> None:
    short = shortened(STUDY, 4)
    assert short.phase(BackbonesPhase).head_rounds == 1  # 2 / 4, rounded up
    assert short.phase(BackbonesPhase).tail_rounds == 1
    assert short.phase(FusionPhase).rounds == 2
    assert short.phase(BoosterPhase).rounds == 2
    assert short.phase(BoosterPhase).eta == STUDY.phase(BoosterPhase).eta
    assert short.network == STUDY.network
    assert shortened(STUDY, 1) == STUDY
    none = small_study(phases=phases(tail=0))
    assert shortened(none, 4).phase(BackbonesPhase).tail_rounds == 0


def test_the_best_has_the_highest_macro_f1_and_ties_go_to_the_lower_log_loss() -> None:
    found = trials(
        (2, score(0.9, 0.4), 1), (3, score(0.95, 0.5), 1), (4, score(0.95, 0.3), 1),
        (5, score(0.99, 0.1), 2), (6, None, 1), (7, score(None, None), 1),
    )  # fmt: skip
    # One with fewer rounds is behind those of the last rung, whatever it reached.
    assert [trial.candidate.values["network.h2"] for trial in found] == [4, 3, 2, 7, 5, 6]


def test_the_table_and_the_files_hold_validation_figures_alone(tmp_path: Path) -> None:
    found = trials((4, score(0.95, 0.3), 1), (2, score(0.9), 2), (8, None, 2))
    lines = table(found)
    assert lines[0].split() == ["#", "network.h2", "rounds", "macro", "F1", "log-loss", "time"]
    assert lines[1].split()[:5] == ["1", "4", "all", "0.9500", "0.3000"]
    assert lines[3].split() == ["3", "8", "1/2", "failed"]
    assert chosen(found).startswith("best on validation: network.h2=4 (study 1). As the best of 3")
    write_account(found, "small", tmp_path)
    document = json.loads((tmp_path / "sweep.json").read_text())
    assert document["part"] == "validation"
    assert [row["best"] for row in document["trials"]] == [True, False, False]
    assert not [key for row in document["trials"] for key in row if "test" in key]
    lines = (tmp_path / "sweep.csv").read_text().splitlines()
    assert lines[0].startswith("number,best,network.h2,rounds_divided_by,macro_f1,log_loss")
    assert len(lines) == 4
    picture = cv2.imread(str(tmp_path / "sweep.png"))
    assert picture is not None
    assert min(picture.shape[:2]) > 300


def test_what_was_tested_is_told_with_how_often() -> None:
    metrics = build_metrics()
    lines = revealed(metrics, 0).splitlines()
    assert lines[0].startswith("test images")
    assert lines[1].split()[:2] == ["Federated", f"{metrics.arms.federated.macro_f1:.4f}"]
    assert len(lines) == 1 + 4 + 3
    assert "looked at for 2 other choices" in revealed(metrics, 2)


def test_a_picture_is_drawn_of_words_numbers_and_switches() -> None:
    values: list[dict[str, JsonValue]] = [
        {"imaging.contrast": "none", "network.h2": 4, "phases.fusion.learning_rate": 1e-5},
        {"imaging.contrast": "camsr", "network.h2": 8, "phases.fusion.learning_rate": 1e-3},
    ]
    found = []
    for number, one in enumerate(values, start=1):
        study, settled = varied(STUDY, one)
        candidate = Candidate(number, settled, study)
        found.append(Trial(candidate, 1, Path("x"), score(0.9 + number / 100)))
    assert draw(found) == draw(found)
    assert draw(found) != draw(found[:1])


def test_jobs_follow_from_free_memory(tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 9 kB\nMemAvailable: 1000 kB\n", encoding="ascii")
    assert most_jobs(told) == 1
    assert most_jobs(tmp_path / "absent") == 1
    told.write_text(f"MemAvailable: {10**9} kB\n", encoding="ascii")
    assert most_jobs(told) >= 1


@pytest.mark.parametrize(
    ("work", "kill", "told"),
    [(os._exit, False, "ended with code 3"), (time.sleep, True, "for want of memory")],
)
def test_a_process_that_ends_without_a_word_costs_its_trial_only(
    work: Callable[[int], None], kill: bool, told: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(3,))
    process.start()
    writer.close()
    if kill:
        process.kill()
    outcome = _ended(process, reader, Task(STUDY, tmp_path, "trial 1 of 1"))
    assert outcome.score is None
    assert told in outcome.problem
