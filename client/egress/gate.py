"""The gate: the hospital's own rules on what may leave, whatever a study asks."""

from collections.abc import Mapping

from client.site_config import Limits
from common.asks import COLLECTIVE_STAGES, EVALUATED, MOST_ATTEMPTS, Work, work_of
from common.boosting.turns import turns
from common.errors import RequestRefused
from common.study.phases import BackbonesPhase, BoosterMode, BoosterPhase, FusionPhase
from common.study.schedule import needed_parts
from common.study.schema import Study
from common.wire import Request

_BOOSTS: Mapping[BoosterMode, Work] = {
    "none": "booster", "histogram": "booster", "bagging": "trees", "cyclic": "trees",
    "collective": "collective",
}  # fmt: skip
_VERSIONS = "compare the leukofed versions at both ends"


def check_request(request: Request, study: Study, limits: Limits, answered: int) -> None:
    """Check that the hospital's rules, and the study, allow a request.

    Args:
        request: what is asked.
        study: the approved study that the request belongs to.
        limits: the hospital's rules.
        answered: steps of this run that were answered already.

    Raises:
        RequestRefused: the phase is not allowed; the study does not ask for this work in this
            phase, round and exchange, on these parts of the model; or the run has had as many
            answers as the site gives.
    """
    step = request.step
    if step.phase not in limits.phases:
        raise RequestRefused(
            f"this site takes no part in phase {step.phase}",
            fix="run the study without this site, or agree with the hospital on `limits.phases`",
        )
    mode = study.phase(BoosterPhase).mode
    if step.phase == "booster" and mode not in (*limits.booster, "none"):
        raise RequestRefused(
            f"this site takes no part in a booster by {mode}",
            fix="run the study without this site, or agree with the hospital on `limits.booster`",
        )
    work = work_of(request.ask)
    allowed = _work_of_round(study, step.phase, step.round)
    if work != allowed:
        raise RequestRefused(
            f"round {step.round} of phase {step.phase} of this study "
            + (f"asks for {allowed}, not {work}" if allowed else "does not exist"),
            fix="ask for the rounds that the study lists, each with its own work",
        )
    if not _is_exchange_of(request, study):
        raise RequestRefused(
            f"exchange {step.exchange} of phase {step.phase}, round {step.round}, is none of the "
            "study's",
            fix=_VERSIONS,
        )
    if set(request.parts) != set(needed_parts(study, request.ask)):
        raise RequestRefused(
            f"{work} needs other parts of the model than were named", fix=_VERSIONS
        )
    if answered >= limits.most_rounds:
        raise RequestRefused(
            f"this run has had {answered} answers, and the site allows {limits.most_rounds}",
            fix="agree with the hospital on `limits.most_rounds`",
        )


def check_size(size: int, limits: Limits) -> None:
    """Check the size of a reply.

    Args:
        size: in bytes.
        limits: the hospital's rules.

    Raises:
        RequestRefused: the reply is larger than the site sends.
    """
    if size > limits.largest_payload_mb * 1e6:
        raise RequestRefused(
            f"the reply holds {size / 1e6:.1f} MB, and the site sends at most "
            f"{limits.largest_payload_mb:g} MB",
            fix="agree with the hospital on `limits.largest_payload_mb`, or train fewer parameters",
        )


def check_volume(size: int, sent: int, limits: Limits) -> None:
    """Check that a day's replies stay within the hospital's rule.

    Args:
        size: of the reply, in bytes; 0 if it is not there yet.
        sent: bytes let out in the last 24 hours.
        limits: the hospital's rules.

    Raises:
        RequestRefused: it would be more than the site sends in a day.
    """
    most = limits.most_mb_a_day
    if most is not None and sent + max(size, 1) > most * 1e6:
        raise RequestRefused(
            f"this site has sent {sent / 1e6:.1f} MB within 24 hours, and with this reply it would "
            f"be more than the {most:g} MB that it allows",
            fix="resume the run when a day has passed, or agree with the hospital on "
            "`limits.most_mb_a_day`",
        )


def _work_of_round(study: Study, phase: str, round_: int) -> Work | None:
    """Return the one work of a round, None if the study has no such round; 0 prepares."""
    backbones, fusion = study.phase(BackbonesPhase), study.phase(FusionPhase)
    heads, both = backbones.head_rounds, backbones.head_rounds + backbones.tail_rounds
    booster = study.phase(BoosterPhase)
    rounds: dict[str, list[tuple[range, Work]]] = {
        "census": [(range(1, 2), "census")],
        "backbones": [
            (range(1), "moments"),
            (range(1, heads + 1), "fit heads"),
            (range(heads + 1, both + 1), "fit tails"),
        ],
        "fusion": [(range(1), "moments"), (range(1, fusion.rounds + 1), "fit fusion")],
        "booster": [(range(1, booster.held_rounds + 1), _BOOSTS[booster.mode])],
        "calibration": [(range(1, 2), "calibration")],
        "evaluation": [(range(1, 2), "evaluation")],
    }
    return next((work for span, work in rounds.get(phase, ()) if round_ in span), None)


def _is_exchange_of(request: Request, study: Study) -> bool:
    """Say whether a round has this exchange: without the bound, each would be another answer."""
    ask, exchange = request.ask, request.step.exchange
    if ask.kind == "booster":
        # A round starts again, its exchanges numbered on, for each site that is lost in it.
        depth = study.phase(BoosterPhase).depth
        return ask.level < depth and exchange < depth * len(study.sites)
    if ask.kind == "trees" and study.phase(BoosterPhase).mode == "cyclic":
        order = turns(study.seed, study.sites, request.step.round)
        return exchange < len(order) and order[exchange] == request.step.site
    if ask.kind == "collective":
        attempt, stage = divmod(exchange, len(COLLECTIVE_STAGES))
        return attempt < MOST_ATTEMPTS and ask.stage == COLLECTIVE_STAGES[stage]
    if ask.kind == "evaluation":
        return exchange < len(EVALUATED) and ask.part == EVALUATED[exchange]
    return exchange == 0
