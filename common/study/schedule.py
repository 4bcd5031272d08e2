"""How a training round runs: what its sites follow, and how far an optimiser can go in it."""

import math
from dataclasses import dataclass

from common.asks import CONTROL, NEEDED_PARTS, Ask, Stage, work_of
from common.study.methods import FedAvg, Method, Optimizer, Scaffold
from common.study.phases import BackbonesPhase, Balance, FusionPhase, Mixing, Training
from common.study.schema import Study

_FEDAVG = FedAvg()
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
    optimizer: Optimizer = "adamw"
    clip: float = 10.0
    method: Method = _FEDAVG
    networks: int = 1
    """How many are trained side by side, each with an optimiser and a clip of its own."""
    label_smoothing: float = 0.0
    mixing: Mixing = "none"
    mixing_alpha: float = 0.4

    def batches(self, images: int) -> int:
        """Return how many batches one pass over that many images has."""
        return math.ceil(images / self.batch_size)

    def steps(self, images: int) -> int:
        """Return how many steps the round has with that many images."""
        return self.epochs * self.batches(images)


def phase_of(study: Study, stage: Stage) -> BackbonesPhase | FusionPhase:
    """Return the settings of the phase that a stage of training belongs to."""
    return study.phase(FusionPhase) if stage == "fusion" else study.phase(BackbonesPhase)


def schedule_of(study: Study, stage: Stage, number: int) -> Schedule:
    """Return the schedule of a phase's round `number`, which starts at 1, of that stage."""
    if stage == "fusion":
        fusion = study.phase(FusionPhase)
        rate = falling_rate(fusion.learning_rate, fusion.final_rate, number, fusion.rounds)
        return _schedule(fusion, fusion.local_epochs, rate, 1)
    backbones = study.phase(BackbonesPhase)
    if stage == "heads":
        epochs, rate = backbones.head_epochs, backbones.head_learning_rate
    else:
        number -= backbones.head_rounds
        epochs = backbones.tail_epochs
        rate = falling_rate(
            backbones.learning_rate, backbones.final_rate, number, backbones.tail_rounds
        )
    return _schedule(backbones, epochs, rate, len(study.network.backbones))


def _schedule(phase: Training, epochs: int, rate: float, networks: int) -> Schedule:
    return Schedule(
        epochs, phase.batch_size, rate, phase.weight_decay, phase.balance,
        phase.optimizer, phase.clip, phase.method, networks,
        phase.label_smoothing, phase.mixing, phase.mixing_alpha,
    )  # fmt: skip


def averaged_before(study: Study, stage: Stage, number: int) -> int | None:
    """Return how many models the mean of a phase's last rounds holds before a round is added.

    None: the round is not among them. `number` is the round of its phase, from 1.
    """
    settings = phase_of(study, stage)
    if isinstance(settings, FusionPhase):
        last, own = settings.rounds, settings.rounds
    else:
        last = settings.head_rounds + settings.tail_rounds
        own = settings.tail_rounds or settings.head_rounds
    first = last - min(settings.averaging.rounds, own) + 1
    return number - first if first < last and first <= number <= last else None


def falling_rate(first: float, final_share: float, round_number: int, rounds: int) -> float:
    """Return the learning rate of a round: a half cosine from `first` to its `final_share`.

    Loshchilov and Hutter 2017, eq. 5, without restarts, over the study's rounds:
    rate(r) = first * (s + (1 - s) * (1 + cos(pi * (r - 1) / (R - 1))) / 2).
    """
    progress = (round_number - 1) / max(1, rounds - 1)
    return first * (final_share + (1 - final_share) * (1 + math.cos(math.pi * progress)) / 2)


def needed_parts(study: Study, ask: Ask) -> tuple[str, ...]:
    """Return the parts of the model that a study's work needs; a request names exactly these."""
    parts = NEEDED_PARTS[work_of(ask)]
    if ask.kind != "fit":
        return parts
    is_steered = isinstance(phase_of(study, ask.stage).method, Scaffold)
    return (*parts, CONTROL) if is_steered else parts


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
    2015, section 2.1), with the betas .9 and .999; decay pulls by rate * decay * value. A step of
    SGD is no longer than rate * clip, and three times that with Scaffold's control variates: each
    of them is a mean of clipped gradients. (FedProx's pull is clipped with the gradient.)

    Args:
        schedule: the round's.
        images: the site's training images; an epoch draws as many, whatever balances the classes.
        values: how many values are trained.
        norm: Euclidean norm of the values before the round.
    """
    steps = schedule.steps(images)
    if schedule.optimizer == "sgd":
        longest = 3 if isinstance(schedule.method, Scaffold) else 1
        return _rounded(steps * schedule.learning_rate * _clipped(schedule) * longest, values)
    moved = steps * schedule.learning_rate * _STEEPEST * math.sqrt(values)
    return moved + steps * schedule.learning_rate * schedule.weight_decay * (norm + moved)


def furthest_variate(schedule: Schedule, values: int) -> float:
    """Return the largest norm of a change of a control variate: from one end to the other."""
    return _rounded(2 * _clipped(schedule), values)


def _clipped(schedule: Schedule) -> float:
    """Return the largest norm of a clipped gradient, of all networks together."""
    return schedule.clip * math.sqrt(schedule.networks)


def _rounded(norm: float, values: int) -> float:
    """Add what rounding to float16, by 2^-11 of a value or 2^-25, and float32 sums can add."""
    return norm * 1.01 + 2**-24 * math.sqrt(values)
