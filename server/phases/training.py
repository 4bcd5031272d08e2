"""One federated training round: differences in, their exact mean applied (FedAvg)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.asks import FitAsk, FitTold, MomentsAsk, MomentsTold, Stage
from common.errors import UpdateRejected
from common.parts import flattened
from common.study.phases import PhaseName
from common.study.schedule import largest_update
from common.updates.moments import moment_bounds, moments
from common.wire import Reply
from server.aggregation import RunningMean, RunningSum
from server.conduct import Conduct, told_as
from server.intake import (
    check_arrays,
    check_examples,
    check_norm,
    check_range,
    differences,
    euclidean,
)
from server.renewal import renew


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


def train_round(
    conduct: Conduct,
    phase: PhaseName,
    number: int,
    stage: Stage,
    trained: Sequence[str],
    norm_bound: float | None,
) -> None:
    """Run one round: w <- w + sum_i n_i d_i / sum_i n_i (McMahan et al. 2017, Algorithm 1).

    Args:
        conduct: the run; its parts `trained` are updated and a checkpoint is written.
        phase: the phase.
        number: the round.
        stage: what the sites train.
        trained: the parts whose differences come back.
        norm_bound: largest Euclidean norm of an accepted update; None: what the optimiser can
            reach.
    """
    held = flattened({part: conduct.parts[part].arrays for part in trained})
    mean = RunningMean(held)
    values = sum(array.size for array in held.values())
    norm = euclidean(held)
    told_by: dict[str, FitTold] = {}

    def take(site: str, reply: Reply) -> None:
        told = told_as(FitTold, reply)
        _check_told(conduct, site, told)
        update = differences(site, reply.arrays, held, conduct.study.compression)
        check_arrays(site, update, held, np.float16)
        reach = largest_update(conduct.study, stage, number, told.examples, values, norm)
        check_norm(site, update, reach if norm_bound is None else norm_bound)
        mean.add(site, told.examples, update)
        told_by[site] = told

    sites = conduct.ask(phase, number, FitAsk(stage=stage), take)
    renew(conduct, held, mean.mean())
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
