"""The site's answer in the booster phase: sums over the rows of its training images, or trees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.boosting import level_sums
from client.classify import Classifier, build_classifier
from client.site import Site
from common.asks import BoosterAsk, BoosterTold, TreesAsk, TreesTold
from common.boosting.trees import margins
from common.boosting.xgb_train import grow_round
from common.errors import DataError
from common.seeds import seed_for
from common.study.phases import BackbonesPhase
from common.study.schema import Study
from common.wire import Request

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Rows:
    """A site's rows as the booster reads them, and the classifier that made them."""

    bins: NDArray[np.uint8]  # (n, features)
    labels: NDArray[np.int64]  # (n,)
    classifier: Classifier


def booster_rows(site: Site, study: Study, request: Request) -> Rows:
    """Return the rows of a site: every view of a training image is one.

    Raises:
        DataError: it has no training images.
    """
    bench = site.bench(study)
    labels = bench.labels("train")
    if not len(labels):
        raise DataError("the site has no training images", fix="check the manifest's split")
    classifier = build_classifier(study, site.parts["fusion"], site.parts["fusion-moments"])
    views = study.phase(BackbonesPhase).views

    def bins() -> NDArray[np.uint8]:
        bench.load(site.parts, request)
        features = bench.features(request.parts, "train", views)
        return classifier.rows(features.reshape(-1, features.shape[2]))

    given = ("constants", "tails", "fusion", "fusion-moments")
    found = bench.remembered(tuple(request.parts[name] for name in given), bins)
    return Rows(found, np.repeat(labels, views), classifier)


def answer_booster(site: Site, study: Study, request: Request) -> tuple[BoosterTold, Arrays]:
    """Sum gradients and hessians of one level."""
    ask = request.ask
    if not isinstance(ask, BoosterAsk):
        raise TypeError(ask)
    rows = booster_rows(site, study, request)
    classifier = rows.classifier
    sums = level_sums(
        rows.bins,
        rows.labels,
        rules=classifier.rules,
        forest=classifier.forest(site.parts["booster"], request.step.round - 1),
        partial=classifier.forest(site.parts["booster-partial"], 1),
        round_=request.step.round,
        level=ask.level,
    )
    return BoosterTold(examples=len(rows.labels)), {"sums": sums}


def answer_trees(site: Site, study: Study, request: Request) -> tuple[TreesTold, Arrays]:
    """Grow one round's trees on the site's own rows; the forest so far gives their margins."""
    if not isinstance(request.ask, TreesAsk):
        raise TypeError(request.ask)
    rows = booster_rows(site, study, request)
    classifier = rows.classifier
    grown = grow_round(
        rows.bins,
        rows.labels,
        margins(classifier.forest(site.parts["booster"]), rows.bins, classifier.rules),
        rules=classifier.rules,
        seed=seed_for(study.seed, "booster", "trees", request.step.round, request.step.site),
    )
    return TreesTold(examples=len(rows.labels)), grown.to_arrays()
