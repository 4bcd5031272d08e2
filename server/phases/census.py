"""Census: who holds what, and whether all hold the same frozen weights."""

from collections.abc import Mapping
from typing import Any

from common.asks import CensusAsk, CensusTold
from common.errors import UpdateRejected
from common.study.data import EVERY_IMAGE
from common.study.schema import Study
from common.wire import Reply
from server.conduct import Conduct, told_as
from server.intake import VERSIONS, printable
from server.overlap import shared_images

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
            site: census[site].model_dump(mode="json", exclude={"overlap"})
            for site in sorted(accepted)
        }
        counted = _overlap(conduct.study, {site: census[site] for site in accepted})
        conduct.facts |= counted
        conduct.finish("census", number, census=conduct.facts["census"], **counted)


def _overlap(study: Study, census: Mapping[str, CensusTold]) -> dict[str, list[dict[str, Any]]]:
    """Count the images that sites have in common; the hashes themselves are kept nowhere."""
    if study.data.overlap == "none":
        return {}
    told = {site: one.overlap for site, one in census.items() if one.overlap is not None}
    return {"overlap": [shared.model_dump(mode="json") for shared in shared_images(told)]}


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
    if study.data.require is not None and told.grouped_by != study.data.require:
        raise UpdateRejected(
            site,
            f"it groups its images by {printable(told.grouped_by, 40)}, and the study demands "
            f"{study.data.require}",
            fix=f"ask the site to fill the column {study.data.require} in its manifest, or run the "
            "study without it",
        )
    counted = {name for counts in told.examples.values() for name in counts}
    counted |= {name for names in told.withheld.values() for name in names}
    if counted - set(study.labels.classes):
        raise UpdateRejected(
            site,
            "it counts classes that the study does not have",
            fix="correct the labels in the site's manifest",
        )
    _check_overlap(site, told, study)
    words = [*told.software, *told.numerics, *told.excluded]
    if (
        told.weights.keys() - fronts.keys()
        or told.grouped_by not in (*study.data.group, EVERY_IMAGE)
        or len(words) > _MOST_WORDS
    ):
        raise UpdateRejected(site, "it tells of what this study does not have", fix=VERSIONS)


def _check_overlap(site: str, told: CensusTold, study: Study) -> None:
    """Check that keyed hashes were asked for, each stands once, and no more than there are images.

    Raises:
        UpdateRejected: they were not, or do not.
    """
    if told.overlap is None:
        return
    withheld = sum(len(names) for names in told.withheld.values())
    most = sum(sum(counts.values()) for counts in told.examples.values())
    most += withheld * max(told.fewest_examples - 1, 0)
    in_order = list(told.overlap) == sorted(set(told.overlap))
    if study.data.overlap == "none" or not in_order or len(told.overlap) > most:
        raise UpdateRejected(site, "its hashes of images are not what was asked for", fix=VERSIONS)
