"""One federated training round: differences in, their exact mean to the study's method."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.asks import TRAINED, FitAsk, FitTold, MomentsAsk, MomentsTold, Stage
from common.errors import UpdateRejected
from common.study.personal import stays
from common.study.phases import PhaseName
from common.study.schedule import largest_update, phase_of, schedule_of
from common.updates.moments import moment_bounds, moments
from common.wire import Reply
from server.aggregation import RunningMean, RunningSum
from server.averaging import averaged
from server.conduct import Conduct, told_as
from server.intake import (
    check_arrays,
    check_examples,
    check_norm,
    check_range,
    differences,
    euclidean,
)
from server.memory import Memory
from server.methods import step
from server.participants import drawn
from server.renewal import renew
from server.variates import split_reply


def gather_moments(
    conduct: Conduct, phase: PhaseName, width: int
) -> dict[str, NDArray[np.float32]]:
    """Ask for sums of the concatenated features; return `mean` and `scale`, float32 (width,)."""
    total = RunningSum({name: np.zeros(width, np.int64) for name in ("sum", "square")})
    examples: dict[str, int] = {}

    def take(site: str, reply: Reply) -> None:
        told = told_as(MomentsTold, reply)
        check_examples(site, told.examples, conduct.most_examples(site, "train"))
        check_arrays(site, reply.arrays, total.sums, np.int64)
        check_range(site, reply.arrays, moment_bounds(told.examples))
        total.add(site, reply.arrays)
        examples[site] = told.examples

    conduct.ask(phase, 0, MomentsAsk(), take)
    return moments(total.sums, sum(examples.values()))


def train_round(conduct: Conduct, phase: PhaseName, number: int, stage: Stage) -> None:
    """Run one round: w <- w + step(sum_i n_i d_i / sum_i n_i), by the phase's method.

    The parts of the model that the stage trains are updated, and a checkpoint is written.

    Args:
        conduct: the run.
        phase: the phase.
        number: the round.
        stage: what the sites train.
    """
    study = conduct.study
    settings = phase_of(study, stage)
    held = {
        f"{part}/{name}": array
        for part in TRAINED[stage]
        for name, array in conduct.parts[part].arrays.items()
        if not stays(study, part, name)
    }
    mean = RunningMean(held)
    values = sum(array.size for array in held.values())
    norm = euclidean(held)
    schedule = schedule_of(study, stage, number)
    memory = Memory(conduct, stage, held)
    control = memory.control
    told_by: dict[str, FitTold] = {}

    def take(site: str, reply: Reply) -> None:
        told = told_as(FitTold, reply)
        _check_told(conduct, site, told)
        sent, change = split_reply(reply.arrays) if control else (reply.arrays, {})
        update = differences(site, sent, held, study.compression)
        check_arrays(site, update, held, np.float16)
        reach = largest_update(study, stage, number, told.examples, values, norm)
        check_norm(site, update, reach if settings.norm_bound is None else settings.norm_bound)
        if control:
            control.check(site, change, schedule)
        mean.add(site, 1 if settings.weights == "equal" else told.examples, update)
        if control:
            control.add(site, change)
        told_by[site] = told

    asked = drawn(study, settings, number, conduct.cohort)
    for site in conduct.cohort:
        if site not in asked:
            conduct.rounds.register.note(phase, number, site, "not drawn")
    ask = FitAsk(stage=stage, counted=memory.counted)
    sites = conduct.ask(phase, number, ask, take, sites=asked)
    change, remembered = step(settings.method, mean.mean(), memory.arrays)
    moved, lags = averaged(study, stage, number, change, memory.arrays)
    renew(conduct, held, moved)
    memory.keep(remembered | lags, number, sites)
    point = _curve_point([told_by[site] for site in sites])
    curves = conduct.facts.setdefault("curves", {})
    curves.setdefault(phase, []).append({"round": number, "stage": stage, **point})
    conduct.finish(phase, number, stage=stage, sites=sorted(sites), **point)


def _check_told(conduct: Conduct, site: str, told: FitTold) -> None:
    check_examples(site, told.examples, conduct.most_examples(site, "train"))
    held_back = conduct.most_examples(site, "validation")
    if not told.validation_correct <= told.validation_examples <= held_back:
        raise UpdateRejected(
            site,
            f"it tells of {told.validation_correct} right among {told.validation_examples} "
            f"validation images, where at most {held_back} can be",
            fix="compare with this site's census; restart the run if its images have changed",
        )


def _curve_point(told: Sequence[FitTold]) -> dict[str, float | None]:
    """Return losses per image and accuracy over all sites; validation is of the model sent."""
    examples = sum(t.examples for t in told)
    held_back = sum(t.validation_examples for t in told)
    point: dict[str, float | None] = {"loss": sum(t.loss_sum for t in told) / examples}
    if held_back == 0:
        return point | {"validation_loss": None, "validation_accuracy": None}
    return point | {
        "validation_loss": sum(t.validation_loss_sum for t in told) / held_back,
        "validation_accuracy": sum(t.validation_correct for t in told) / held_back,
    }
