"""How a training round runs: what its sites follow, and how far AdamW can go in it."""

import math
from dataclasses import dataclass

from common.asks import Stage
from common.study.phases import BackbonesPhase, Balance, FusionPhase
from common.study.schema import Study

_STEEPEST = 0.1 / math.sqrt(1 - 0.999)
"""AdamW's largest step of one value, in learning rates: (1 - beta1) / sqrt(1 - beta2)."""


@dataclass(frozen=True)
class Schedule:
    """How one round of local training runs."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    balance: Balance = "none"

    def batches(self, images: int) -> int:
        """Return how many batches one pass over that many images has."""
        return math.ceil(images / self.batch_size)


def schedule_of(study: Study, stage: Stage, number: int) -> Schedule:
    """Return the schedule of a phase's round `number`, which starts at 1, of that stage."""
    if stage == "fusion":
        fusion = study.phase(FusionPhase)
        rate = falling_rate(fusion.learning_rate, fusion.final_rate, number, fusion.rounds)
        return Schedule(
            fusion.local_epochs, fusion.batch_size, rate, fusion.weight_decay, fusion.balance
        )
    backbones = study.phase(BackbonesPhase)
    if stage == "heads":
        epochs, rate = backbones.head_epochs, backbones.head_learning_rate
    else:
        number -= backbones.head_rounds
        epochs = backbones.tail_epochs
        rate = falling_rate(
            backbones.learning_rate, backbones.final_rate, number, backbones.tail_rounds
        )
    return Schedule(epochs, backbones.batch_size, rate, backbones.weight_decay, backbones.balance)


def falling_rate(first: float, final_share: float, round_number: int, rounds: int) -> float:
    """Return the learning rate of a round: a half cosine from `first` to its `final_share`.

    Loshchilov and Hutter 2017, eq. 5, without restarts, over the study's rounds:
    rate(r) = first * (s + (1 - s) * (1 + cos(pi * (r - 1) / (R - 1))) / 2).
    """
    progress = (round_number - 1) / max(1, rounds - 1)
    return first * (final_share + (1 - final_share) * (1 + math.cos(math.pi * progress)) / 2)


def largest_update(
    study: Study, stage: Stage, number: int, images: int, values: int, norm: float
) -> float:
    """Return the largest Euclidean norm of an update that a site can send in a round.

    It is what the round's schedule can reach and, where the study compresses, what coding may have
    left out of the updates before (`common.updates.coding`): of int8 at most half a scale of every
    value, and as much again by rounding up; of the largest values alone, all that could move in the
    rounds so far.

    Args:
        study: the study.
        stage: what is trained.
        number: the round of its phase, from 1.
        images: as of `furthest`.
        values: as of `furthest`.
        norm: as of `furthest`.
    """
    now = furthest(schedule_of(study, stage, number), images, values, norm)
    if study.compression.up == "none":
        return now
    heads = study.phase(BackbonesPhase).head_rounds if stage == "tails" else 0
    before = sum(
        furthest(schedule_of(study, "heads" if n <= heads else stage, n), images, values, norm)
        for n in range(1, number)
    )
    return now + before if study.compression.up == "topk" else now + (now + before) / 127


def furthest(schedule: Schedule, images: int, values: int, norm: float) -> float:
    """Return the largest Euclidean norm of a difference that the schedule can lead to.

    No step of Adam moves a value further than rate * (1 - beta1) / sqrt(1 - beta2) (Kingma and Ba
    2015, section 2.1), with the betas .9 and .999; decay pulls by rate * decay * value.

    Args:
        schedule: the round's.
        images: the site's training images; an epoch draws as many, whatever balances the classes.
        values: how many values are trained.
        norm: Euclidean norm of the values before the round.
    """
    steps = schedule.epochs * schedule.batches(images)
    moved = steps * schedule.learning_rate * _STEEPEST * math.sqrt(values)
    return moved + steps * schedule.learning_rate * schedule.weight_decay * (norm + moved)
