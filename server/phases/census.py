"""Census: who holds what, and whether all hold the same frozen weights."""

from collections.abc import Mapping

from common.asks import CensusAsk, CensusTold
from common.errors import UpdateRejected
from common.study.data import EVERY_IMAGE
from common.study.schema import Study
from common.wire import Reply
from server.conduct import Conduct, told_as
from server.intake import VERSIONS

_MOST_WORDS = 50  # an honest site tells of about a dozen


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
            check_census(site, told, conduct.study, fronts)
            census[site] = told

        accepted = conduct.ask("census", number, CensusAsk(), take)
        conduct.facts["cohort"] = sorted(accepted)
        conduct.facts["census"] = {
            site: census[site].model_dump(mode="json") for site in sorted(accepted)
        }
        conduct.finish("census", number, census=conduct.facts["census"])


def check_census(site: str, told: CensusTold, study: Study, fronts: Mapping[str, str]) -> None:
    """Check what a site tells of itself: its words stand in report, model card and metrics.

    Args:
        site: whose census it is.
        told: what it tells.
        study: what is run.
        fronts: per backbone, the digest of the frozen front that the initial model was made for.

    Raises:
        UpdateRejected: its frozen weights are others, or it tells of what the study does not have.
    """
    other = sorted(name for name, digest in fronts.items() if told.weights.get(name) != digest)
    if other:
        raise UpdateRejected(
            site,
            f"its frozen weights of {', '.join(other)} are not those of the initial model",
            fix="give the site the weights file that the initial model was made from",
        )
    counted = {name for counts in told.examples.values() for name in counts}
    counted |= {name for names in told.withheld.values() for name in names}
    if counted - set(study.labels.classes):
        raise UpdateRejected(
            site,
            "it counts classes that the study does not have",
            fix="correct the labels in the site's manifest",
        )
    words = [*told.software, *told.numerics, *told.excluded]
    if (
        told.weights.keys() - fronts.keys()
        or told.grouped_by not in (*study.data.group, EVERY_IMAGE)
        or len(words) > _MOST_WORDS
    ):
        raise UpdateRejected(site, "it tells of what this study does not have", fix=VERSIONS)
