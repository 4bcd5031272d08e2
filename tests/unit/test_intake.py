"""Intake: each fault of a reply is named, with its site and a remedy."""

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from common.asks import CensusTold, FitAsk, FitTold, MomentsTold
from common.errors import UpdateRejected
from common.statistics.counts import EvaluationCounts, no_counts, tally
from common.statistics.temperature import largest_sum, temperature_sums
from common.study.compression import Compression
from common.updates.coding import fed_back
from common.updates.moments import moment_bounds, moment_sums
from common.wire import Reply, Request, Step
from server.intake import (
    check_answers,
    check_arrays,
    check_counts,
    check_examples,
    check_norm,
    check_range,
    differences,
    printable,
)

STEP = Step(study="a" * 64, run="r1", phase="fusion", round=2, exchange=0, site="north")
REQUEST = Request(STEP, FitAsk(stage="fusion"), {"fusion": "b" * 64})
TOLD = FitTold(
    examples=4, loss_sum=1.0, validation_examples=0, validation_correct=0, validation_loss_sum=0.0
)
DONE = Reply(STEP, REQUEST.digest, "done", TOLD)
TEMPLATE = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}


def update() -> dict[str, NDArray[np.float16]]:
    return {"w": np.full((2, 3), 0.5, np.float16), "b": np.ones(3, np.float16)}


@pytest.mark.parametrize(
    "reply",
    [
        DONE,
        Reply(STEP, REQUEST.digest, "refused", problem="no", fix="ask"),
        Reply(STEP, REQUEST.digest, "needs-parts", needs=("fusion",)),
    ],
)
def test_an_answer_to_the_request_passes(reply: Reply) -> None:
    check_answers(REQUEST, reply)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("study", "c" * 64), ("run", "r2"), ("phase", "booster"), ("round", 1), ("exchange", 1),
        ("site", "south"),
    ],
)  # fmt: skip
def test_an_answer_to_another_step_is_rejected(field: str, value: str | int) -> None:
    step = STEP.model_copy(update={field: value})
    with pytest.raises(UpdateRejected, match=f"another step: {field}") as rejected:
        check_answers(REQUEST, replace(DONE, step=step))
    assert rejected.value.site == "north"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (replace(DONE, request="d" * 64), "another request"),
        (replace(DONE, told=None), "tells nothing"),
        (replace(DONE, told=MomentsTold(examples=1)), "asked for fit, it tells of moments"),
        (replace(DONE, status="needs-parts"), "does not name"),
        (replace(DONE, status="needs-parts", needs=("fusion", "x")), "does not name"),
    ],
)
def test_a_reply_that_does_not_fit_is_rejected(reply: Reply, words: str) -> None:
    with pytest.raises(UpdateRejected, match=words):
        check_answers(REQUEST, reply)


def test_what_another_kind_of_work_tells_is_rejected() -> None:
    told = CensusTold(
        examples={}, withheld={}, groups={}, grouped_by="slide", excluded={}, weights={},
        software={"torch": "2"}, numerics={}, fewest_examples=5,
    )  # fmt: skip
    with pytest.raises(UpdateRejected, match="census"):
        check_answers(REQUEST, replace(DONE, told=told))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"w": np.zeros((3, 2), np.float16)}, r"w has shape \(3, 2\) for \(2, 3\)"),
        ({"b": np.zeros(3, np.float32)}, "b is float32 for float16"),
        ({"b": np.array([0, np.nan, -np.inf], np.float16)}, "b holds 2 of 3 values"),
        ({"c": np.zeros(1, np.float16)}, "1 unexpected arrays"),
    ],
)
def test_arrays_that_do_not_fit_are_rejected(
    changes: dict[str, NDArray[np.float16]], words: str
) -> None:
    check_arrays("north", update(), TEMPLATE, np.float16)
    with pytest.raises(UpdateRejected, match=words):
        check_arrays("north", update() | changes, TEMPLATE, np.float16)


def test_all_faults_are_counted_and_three_are_named() -> None:
    template = {name: np.zeros(1, np.float32) for name in "abcde"}
    with pytest.raises(UpdateRejected, match="a is missing; b is missing; c is missing; and 2"):
        check_arrays("north", {}, template, np.float16)


def test_coded_differences_are_read_and_what_is_no_code_is_rejected() -> None:
    held = {"w": np.zeros((2, 3), np.float32)}
    change = {"w": np.array([[1, 0, 0], [0, 0, -2]], np.float32)}
    few = Compression(up="topk", share=0.4)
    sent, read, _ = fed_back(change, {}, "topk", few.share)
    assert differences("north", sent, held, Compression()) is sent
    np.testing.assert_array_equal(differences("north", sent, held, few)["w"], read["w"])
    np.testing.assert_array_equal(read["w"], change["w"])
    for arrays in ({}, {"w": read["w"]}, sent | {"values": sent["values"] * np.float16(np.inf)}):
        with pytest.raises(UpdateRejected, match="from north"), np.errstate(invalid="ignore"):
            differences("north", arrays, held, few)


def test_the_norm_is_over_all_arrays() -> None:
    arrays = {"a": np.array([3.0], np.float16), "b": np.array([[4.0]], np.float16)}
    check_norm("north", arrays, 5.0)
    with pytest.raises(UpdateRejected, match=r"norm 5; the study accepts 4\.99"):
        check_norm("north", arrays, 4.99)
    with pytest.raises(UpdateRejected, match="nan"):
        check_norm("north", {"a": np.array([np.nan], np.float16)}, 4.0)


def test_the_norm_of_large_values_does_not_overflow() -> None:
    check_norm("north", {"a": np.full(4, 65504, np.float16)}, 131008.0)


@pytest.mark.parametrize("examples", [0, -1, 11])
def test_examples_are_bounded(examples: int) -> None:
    check_examples("north", 10, 10)
    with pytest.raises(UpdateRejected, match=f"{examples} examples, where 1 to 10"):
        check_examples("north", examples, 10)


def test_a_sites_words_cannot_steer_a_terminal() -> None:
    assert printable("too few\x1b[2J\x9b1m\nrows") == "too few [2J 1m rows"
    assert len(printable("x" * 9999)) == 500


def counted(examples: int = 40) -> EvaluationCounts:
    chance = np.random.default_rng(3)
    truth = chance.integers(0, 3, examples)
    shares = chance.dirichlet([1, 1, 1], examples)
    return tally(shares, truth, [i // 4 for i in range(examples)], 20, chance)


def test_true_counts_are_believed() -> None:
    for examples in (1, 7, 40):
        check_counts("north", counted(examples), examples)
    check_counts("north", no_counts(3, 20), 0)


@pytest.mark.parametrize("name", [field.name for field in fields(EvaluationCounts)])
@pytest.mark.parametrize("change", [-(2**50), 2**50])
def test_counts_beyond_what_so_many_images_can_give_are_rejected(name: str, change: int) -> None:
    counts = counted()
    array = getattr(counts, name).copy()
    array.flat[0] += change
    with pytest.raises(UpdateRejected, match=f"{name} is outside"):
        check_counts("north", replace(counts, **{name: array}), 40)


def test_counts_that_contradict_one_another_are_rejected() -> None:
    counts = counted()
    moved = {name: getattr(counts, name).copy() for name in ("confusion", "scores", "calibration")}
    moved["confusion"][0, 0] += 1
    moved["scores"] = moved["scores"][:, ::-1].copy()
    moved["calibration"][2, 0] += 1
    for name, array in moved.items():
        with pytest.raises(UpdateRejected, match=r"contradict|outside"):
            check_counts("north", replace(counts, **{name: array}), 40)
    with pytest.raises(UpdateRejected, match=r"contradict|outside"):
        check_counts("north", counts, 41)


def test_sums_are_bounded_by_their_examples() -> None:
    rows = np.random.default_rng(1).uniform(-2000, 2000, (50, 8)).astype(np.float32)
    check_range("north", moment_sums(rows), moment_bounds(50))
    with pytest.raises(UpdateRejected, match="is outside what its examples"):
        check_range("north", moment_sums(np.full((50, 8), 1e3, np.float32)), moment_bounds(49))
    logs = np.log(np.random.default_rng(2).dirichlet([0.01, 0.01], 30) + 1e-300)
    sums = temperature_sums(logs, np.zeros(30, np.int64))
    check_range("north", {"booster": sums}, {"booster": (0, largest_sum(30))})
