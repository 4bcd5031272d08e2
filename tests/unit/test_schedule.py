"""Rates over rounds, and the bound on AdamW's steps against torch's AdamW."""

import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import nn

from common.asks import Stage
from common.study.compression import Compression
from common.study.phases import BackbonesPhase, FusionPhase
from common.study.schedule import (
    Schedule,
    falling_rate,
    furthest,
    largest_update,
    schedule_of,
)
from tests.support.small import small_study

Gradients = Callable[[int], torch.Tensor]
SHAPE = (7, 5)


def test_the_rate_falls_along_half_a_cosine() -> None:
    assert falling_rate(1.0, 0.1, 1, 5) == pytest.approx(1.0)
    assert falling_rate(1.0, 0.1, 3, 5) == pytest.approx(0.55)
    assert falling_rate(1.0, 0.1, 5, 5) == pytest.approx(0.1)
    assert falling_rate(2.0, 0.1, 1, 1) == pytest.approx(2.0)


def constant(step: int) -> torch.Tensor:
    return torch.ones(SHAPE)


def seldom(step: int) -> torch.Tensor:
    """Nothing for long, then once: the case in which Adam leaps the furthest."""
    return torch.full(SHAPE, float(step == 390))


def noise(step: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(step))


@pytest.mark.parametrize("gradients", [constant, seldom, noise])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adamw_stays_within_reach(gradients: Gradients, decay: float) -> None:
    schedule = Schedule(epochs=40, batch_size=8, learning_rate=0.01, weight_decay=decay)
    moved, before = trained(schedule, 80, gradients)
    assert 0 < moved <= furthest(schedule, 80, math.prod(SHAPE), before)


def test_no_smaller_factor_would_do() -> None:
    """A single leap after long silence comes to within a hundredth of the bound for one step."""
    steps = 400
    schedule = Schedule(epochs=steps, batch_size=8, learning_rate=0.01, weight_decay=0.0)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=0.01, weight_decay=0.0)
    leap = 0.0
    for step in range(20 * steps):  # long enough that the bias corrections are gone
        before = parameter.item()
        parameter.grad = torch.full((1,), float(step == 20 * steps - 1))
        optimizer.step()
        leap = abs(parameter.item() - before)
    assert leap == pytest.approx(furthest(schedule, 8, 1, 0.0) / steps, rel=0.01)


def test_each_round_follows_its_own_schedule() -> None:
    study = small_study()
    backbones, fusion = study.phase(BackbonesPhase), study.phase(FusionPhase)
    heads = schedule_of(study, "heads", 1)
    assert (heads.epochs, heads.learning_rate) == (
        backbones.head_epochs,
        backbones.head_learning_rate,
    )
    first_tail = schedule_of(study, "tails", backbones.head_rounds + 1)
    assert first_tail.learning_rate == pytest.approx(backbones.learning_rate)
    last = schedule_of(study, "fusion", fusion.rounds)
    assert last.learning_rate == pytest.approx(fusion.learning_rate * fusion.final_rate)


@pytest.mark.parametrize("up", ["none", "int8", "topk"])
def test_an_update_holds_what_coding_left_out_of_earlier_ones(
    up: Literal["none", "int8", "topk"],
) -> None:
    study = small_study(compression=Compression(up=up))
    backbones = study.phase(BackbonesPhase)
    number = backbones.head_rounds + 2

    def reach(stage: Stage, round_: int) -> float:
        return furthest(schedule_of(study, stage, round_), 40, 100, 3.0)

    first = largest_update(study, "heads", 1, 40, 100, 3.0)
    assert first == pytest.approx(reach("heads", 1), rel=0.01)
    earlier = [reach("heads", n) for n in range(1, backbones.head_rounds + 1)]
    whole = sum(earlier) + reach("tails", number - 1) + reach("tails", number)
    found = largest_update(study, "tails", number, 40, 100, 3.0)
    assert reach("tails", number) <= found <= whole * (1 + 1e-12)
    assert (found == pytest.approx(whole)) == (up == "topk")
    assert (found == reach("tails", number)) == (up == "none")


def trained(schedule: Schedule, images: int, gradients: Gradients) -> tuple[float, float]:
    """Run torch's AdamW; return the norm of what changed and the norm before."""
    start = torch.full(SHAPE, 0.5)
    parameter = nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW(
        [parameter], lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    for step in range(schedule.epochs * schedule.batches(images)):
        parameter.grad = gradients(step)
        optimizer.step()
    return float((parameter.detach() - start).norm()), float(start.norm())
