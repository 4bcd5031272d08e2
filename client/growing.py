"""The site's answer in the booster phase: sums over the rows of its training images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.boosting import level_sums
from client.classify import build_classifier
from client.site import Site
from common.asks import BoosterAsk, BoosterTold
from common.errors import DataError
from common.study.phases import BackbonesPhase
from common.study.schema import Study
from common.wire import Request

Arrays = Mapping[str, NDArray[Any]]


def answer_booster(site: Site, study: Study, request: Request) -> tuple[BoosterTold, Arrays]:
    """Sum gradients and hessians of one level; every view of a training image is a row."""
    ask = request.ask
    if not isinstance(ask, BoosterAsk):
        raise TypeError(ask)
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
    rows = bench.remembered(tuple(request.parts[name] for name in given), bins)
    sums = level_sums(
        rows,
        np.repeat(labels, views),
        rules=classifier.rules,
        forest=classifier.forest(site.parts["booster"], request.step.round - 1),
        partial=classifier.forest(site.parts["booster-partial"], 1),
        round_=request.step.round,
        level=ask.level,
    )
    return BoosterTold(examples=len(rows)), {"sums": sums}
