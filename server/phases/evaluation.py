"""Evaluation: counts of the whole model's predictions on images that no one trained on."""

from collections.abc import Collection, Mapping

import numpy as np

from common.asks import EVALUATED, EvaluationAsk, EvaluationTold, Part
from common.errors import UpdateRejected
from common.parts import Arrays, by_part, flattened
from common.statistics.counts import EvaluationCounts, no_counts
from common.study.phases import EvaluationPhase
from common.wire import Reply
from server.conduct import Conduct, told_as
from server.intake import check_arrays, check_counts
from server.phases.calibration import CLASSIFIERS

Counts = Mapping[str, EvaluationCounts]


def run(conduct: Conduct, parts: Collection[Part] = EVALUATED) -> None:
    """Ask for the counts of the test and the validation part, and keep them per site.

    Args:
        conduct: the run, with its temperatures.
        parts: those to be asked for; where settings are chosen, the validation part alone.
    """
    conduct.watch.phase("evaluation", 1)
    for number in conduct.remaining("evaluation", 1, 1):
        for exchange, part in enumerate(EVALUATED):
            if part in parts:
                _gather(conduct, number, exchange, part)
        conduct.finish("evaluation", number, withheld=conduct.facts["withheld"])


def counts_by_site(conduct: Conduct, part: Part) -> dict[str, Counts]:
    """Return, per site, the counts of each classifier on a part; `run` gathered them."""
    found: dict[str, Counts] = {}
    for site in conduct.facts["evaluated"][part]:
        found[site] = _counts(conduct.parts[f"counts {part} {site}"].arrays)
    return found


def _counts(arrays: Arrays) -> Counts:
    return {name: EvaluationCounts.from_arrays(own) for name, own in by_part(arrays).items()}


def _gather(conduct: Conduct, number: int, exchange: int, part: Part) -> None:
    study = conduct.study
    nothing = no_counts(len(study.labels.classes), study.phase(EvaluationPhase).replicates)
    template = flattened(dict.fromkeys(CLASSIFIERS, nothing.to_arrays()))
    withheld: dict[str, list[str]] = {}

    def take(site: str, reply: Reply) -> None:
        told = told_as(EvaluationTold, reply)
        if told.examples > conduct.most_examples(site, part):
            raise UpdateRejected(
                site,
                f"it tells of {told.examples} {part} images, more than in its census",
                fix="restart the run if this site's images have changed",
            )
        check_arrays(site, reply.arrays, template, np.int64)
        for counts in _counts(reply.arrays).values():
            check_counts(site, counts, told.examples)
        conduct.hold(f"counts {part} {site}", dict(reply.arrays))
        withheld[site] = list(told.withheld)

    ask = EvaluationAsk(part=part, temperatures=conduct.facts["temperatures"])
    sites = conduct.ask("evaluation", number, ask, take, exchange)
    conduct.facts.setdefault("evaluated", {})[part] = sorted(sites)
    conduct.facts.setdefault("withheld", {})[part] = withheld
