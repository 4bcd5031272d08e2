"""Census: who holds what, and whether all hold the same frozen weights."""

from collections.abc import Mapping

from common.asks import CensusAsk, CensusTold
from common.errors import UpdateRejected
from common.wire import Reply
from server.conduct import Conduct, told_as


def run(conduct: Conduct, fronts: Mapping[str, str]) -> None:
    """Ask every site for its census; those that pass are the cohort of every later round.

    Args:
        conduct: the run.
        fronts: per backbone, the digest of the frozen front that the initial model was made for.
    """
    for number in conduct.remaining("census", 1, 1):
        census: dict[str, CensusTold] = {}

        def take(site: str, reply: Reply, census: dict[str, CensusTold] = census) -> None:
            told = told_as(CensusTold, reply)
            _check_fronts(site, told, fronts)
            _check_classes(site, told, conduct.study.labels.classes)
            census[site] = told

        accepted = conduct.ask("census", number, CensusAsk(), take)
        conduct.facts["cohort"] = sorted(accepted)
        conduct.facts["census"] = {
            site: census[site].model_dump(mode="json") for site in sorted(accepted)
        }
        conduct.finish("census", number, census=conduct.facts["census"])


def _check_fronts(site: str, told: CensusTold, fronts: Mapping[str, str]) -> None:
    other = sorted(name for name, digest in fronts.items() if told.weights.get(name) != digest)
    if other:
        raise UpdateRejected(
            site,
            f"its frozen weights of {', '.join(other)} are not those of the initial model",
            fix="give the site the weights file that the initial model was made from",
        )


def _check_classes(site: str, told: CensusTold, classes: tuple[str, ...]) -> None:
    counted = {name for counts in told.examples.values() for name in counts}
    counted |= {name for names in told.withheld.values() for name in names}
    if counted - set(classes):
        raise UpdateRejected(
            site,
            "it counts classes that the study does not have",
            fix="correct the labels in the site's manifest",
        )
