"""Who is asked in a round of training: all sites, or some of them, drawn by the study's seed."""

import math
from collections.abc import Sequence

from common.seeds import stream
from common.study.phases import Training
from common.study.schema import Study


def drawn(study: Study, phase: Training, number: int, cohort: Sequence[str]) -> list[str]:
    """Draw the sites of a round, each as likely as any other (McMahan et al. 2017, algorithm 1).

    At least the quorum is drawn. The draw depends on seed, phase, round and cohort alone, so a run
    that is resumed asks the same sites.

    Args:
        study: supplies seed and quorum.
        phase: the phase's settings.
        number: the round.
        cohort: the sites that take part in the study.

    Returns:
        The sites, in the order of the cohort.
    """
    # The share of 10 sites that is 0.7 is 7, though the product is a little more.
    share = math.ceil(phase.participation * len(cohort) - 1e-9)
    wanted = max(study.quorum, phase.participants or share)
    if wanted >= len(cohort):
        return list(cohort)
    generator = stream(study.seed, "participants", phase.name, number)
    chosen = set(generator.permutation(len(cohort))[:wanted].tolist())
    return [site for place, site in enumerate(cohort) if place in chosen]
