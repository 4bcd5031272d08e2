"""The gate: the hospital's own rules on what may leave, whatever a study asks."""

from client.site_config import Limits
from common.asks import Ask
from common.errors import RequestRefused
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase
from common.study.schema import Study
from common.wire import Request

# Which work a phase may ask for. The coordinator writes both into its request; without this
# table a site that only takes part in the census could be made to train under that name.
_WORK = {
    "census": {"census"},
    "backbones": {"moments", "fit heads", "fit tails"},
    "fusion": {"moments", "fit fusion"},
    "booster": {"booster"},
    "calibration": {"calibration"},
    "evaluation": {"evaluation"},
}


def check_request(request: Request, study: Study, limits: Limits, answered: int) -> None:
    """Check that the hospital's rules, and the study, allow a request.

    Args:
        request: what is asked.
        study: the approved study that the request belongs to.
        limits: the hospital's rules.
        answered: steps of this run that were answered already.

    Raises:
        RequestRefused: the phase is not allowed, the work does not belong to it, its round is
            beyond the study's, or the run has had as many answers as the site gives.
    """
    step = request.step
    if step.phase not in limits.phases:
        raise RequestRefused(
            f"this site takes no part in phase {step.phase}",
            fix="run the study without this site, or agree with the hospital on `limits.phases`",
        )
    work = _name(request.ask)
    if work not in _WORK.get(step.phase, ()):
        raise RequestRefused(
            f"phase {step.phase} does not include the work asked for ({work})",
            fix="compare the leukofed versions at both ends",
        )
    last = _last_round(study, step.phase)
    if step.round > last:
        raise RequestRefused(
            f"round {step.round} of phase {step.phase} is beyond the study's last, {last}",
            fix="ask for the rounds that the study lists",
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


def _name(ask: Ask) -> str:
    return f"fit {ask.stage}" if ask.kind == "fit" else ask.kind


def _last_round(study: Study, phase: str) -> int:
    """Return the number of a phase's last round; they start at 1, and 0 prepares."""
    backbones = study.phase(BackbonesPhase)
    return {
        "backbones": backbones.head_rounds + backbones.tail_rounds,
        "fusion": study.phase(FusionPhase).rounds,
        "booster": study.phase(BoosterPhase).rounds,
    }.get(phase, 1)
