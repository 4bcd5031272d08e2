"""Evaluation: counts of the whole model's predictions on images that no one trained on."""

from collections.abc import Mapping

from common.asks import EvaluationAsk, EvaluationTold, Part
from common.statistics.counts import EvaluationCounts, no_counts
from common.study.phases import EvaluationPhase
from common.wire import Reply
from server.aggregation import RunningSum
from server.conduct import Conduct, told_as
from server.phases.booster import GIVEN
from server.phases.calibration import CLASSIFIERS

EVALUATED: tuple[Part, ...] = ("test", "validation")
Counts = Mapping[str, EvaluationCounts]


def run(conduct: Conduct) -> None:
    """Ask for the counts of the test and the validation part, and keep them per site."""
    conduct.watch.phase("evaluation", 1)
    for number in conduct.remaining("evaluation", 1, 1):
        for exchange, part in enumerate(EVALUATED):
            _gather(conduct, number, exchange, part)
        conduct.finish("evaluation", number, withheld=conduct.facts["withheld"])


def counts_by_site(conduct: Conduct, part: Part) -> dict[str, Counts]:
    """Return, per site, the counts of each classifier on a part; `run` gathered them."""
    found: dict[str, Counts] = {}
    for site in conduct.facts["evaluated"][part]:
        arrays = conduct.parts[f"counts {part} {site}"].arrays
        found[site] = {
            name: EvaluationCounts.from_arrays(
                {
                    key.removeprefix(f"{name}/"): a
                    for key, a in arrays.items()
                    if key.startswith(name)
                }
            )
            for name in CLASSIFIERS
        }
    return found


def _gather(conduct: Conduct, number: int, exchange: int, part: Part) -> None:
    study = conduct.study
    nothing = no_counts(len(study.labels.classes), study.phase(EvaluationPhase).replicates)
    template = {
        f"{name}/{key}": array for name in CLASSIFIERS for key, array in nothing.to_arrays().items()
    }
    withheld: dict[str, list[str]] = {}

    def take(site: str, reply: Reply) -> None:
        told = told_as(EvaluationTold, reply)
        RunningSum(template).add(site, reply.arrays)  # the same checks as for a sum
        conduct.hold(f"counts {part} {site}", dict(reply.arrays))
        withheld[site] = list(told.withheld)

    ask = EvaluationAsk(part=part, temperatures=conduct.facts["temperatures"])
    sites = conduct.ask("evaluation", number, ask, GIVEN, take, exchange)
    conduct.facts.setdefault("evaluated", {})[part] = sorted(sites)
    conduct.facts.setdefault("withheld", {})[part] = withheld
