"""Predictions on a site's held-back images, told as counts and sums."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.census import count_classes, withheld_classes
from client.classify import build_classifier, mean_probabilities
from client.own import parts_of
from client.site import Bench, Site
from common.asks import CalibrationTold, ClassifierName, EvaluationAsk, EvaluationTold, Part
from common.seeds import stream
from common.statistics.counts import tally
from common.statistics.temperature import calibrated, temperature_sums
from common.study.phases import EvaluationPhase
from common.study.schema import Study
from common.wire import Request

Arrays = Mapping[str, NDArray[Any]]


def answer_calibration(
    site: Site, study: Study, request: Request
) -> tuple[CalibrationTold, Arrays]:
    """Sum the validation images' log-losses over the grid of temperatures."""
    bench = site.bench(study)
    truth = bench.labels("validation")
    logs = _log_probabilities(site, bench, request, "validation")
    sums = {str(name): temperature_sums(log, truth) for name, log in logs.items()}
    return CalibrationTold(examples=len(truth)), sums


def answer_evaluation(site: Site, study: Study, request: Request) -> tuple[EvaluationTold, Arrays]:
    """Count predictions on one part; classes with too few examples are left out and named.

    Both classifiers' replicates resample the same groups, so that they can be compared.
    """
    ask = request.ask
    if not isinstance(ask, EvaluationAsk):
        raise TypeError(ask)
    bench = site.bench(study)
    examples, truth = bench.examples(ask.part), bench.labels(ask.part)
    few = withheld_classes(count_classes(examples, study), site.config.limits.fewest_examples)
    numbers = [study.labels.classes.index(name) for name in few]
    told = np.flatnonzero(~np.isin(truth, numbers))
    groups = [examples[i].group for i in told.tolist()]
    arrays: dict[str, NDArray[Any]] = {}
    logs = _log_probabilities(site, bench, request, ask.part)
    site.witness(ask.part, examples, logs)
    for name, log in logs.items():
        counts = tally(
            calibrated(log[told], ask.temperatures[name]),
            truth[told],
            groups,
            study.phase(EvaluationPhase).replicates,
            stream(study.seed, "bootstrap", site.config.name, ask.part),
        )
        arrays |= {f"{name}/{key}": array for key, array in counts.to_arrays().items()}
    return EvaluationTold(examples=len(told), withheld=few), arrays


def _log_probabilities(
    site: Site, bench: Bench, request: Request, part: Part
) -> dict[ClassifierName, NDArray[np.float64]]:
    """Return log-probabilities (n, classes) of `booster` and `softmax`."""
    parts = parts_of(site, bench.study, request)
    bench.load(parts.arrays, request)
    views = bench.study.phase(EvaluationPhase).views
    features = bench.features(parts.digests, part, views)
    classifier = build_classifier(bench.study, parts["fusion"], parts["fusion-moments"])
    forest = classifier.forest(parts["booster"])
    each = [features[:, number] for number in range(views)]
    return {
        "booster": mean_probabilities([classifier.booster(some, forest) for some in each]),
        "softmax": mean_probabilities([classifier.softmax(some) for some in each]),
    }
