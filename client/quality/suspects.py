"""Doubtful labels of a site's own images, by the frozen features that a study uses anyway."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from client.data.manifest import Example
from client.doctor.finding import Watch, unwatched
from client.quality.confidence import Suspect, out_of_fold, suspects
from client.site import Bench, open_cache
from client.site_config import SiteConfig
from common.model.initial import build_branches
from common.study.schema import Study


@dataclass(frozen=True)
class Doubts:
    """The doubtful labels, the most doubtful first, and how well labels are predicted at all."""

    suspects: Sequence[Suspect]
    accuracy: float  # out of fold, against the labels as they are
    groups: int


def doubts(
    config: SiteConfig, study: Study, examples: Sequence[Example], watch: Watch = unwatched
) -> Doubts:
    """Predict every image's label from images of other groups, and compare.

    Args:
        config: names cache, weights and limits.
        study: its imaging and backbones, with pre-trained weights; nothing is trained in them.
        examples: scanned, usable, with the study's labels and groups.
        watch: told of the pass through the frozen fronts, of which one made before is not
            repeated, and of the regressions.

    Raises:
        WeightsError: the weights are not on this machine.
        DataError: too few classes or groups, or another process uses the cache.
    """
    cache = open_cache(config)
    try:
        bench = Bench(
            study, config, build_branches, cache, partial(watch, "images through the frozen fronts")
        )
        with bench.computing():
            features = np.concatenate(
                [bench.extractor.features_now(branch, examples) for branch in bench.branches],
                axis=1,
            )
    finally:
        cache.close()
    labels = np.array([example.label for example in examples], dtype=np.int64)
    groups = [example.group for example in examples]
    probabilities = out_of_fold(features, labels, groups, study.seed, partial(watch, "regressions"))
    return Doubts(
        suspects(probabilities, labels, config.quality),
        float((probabilities.argmax(axis=1) == labels).mean()),
        len(set(groups)),
    )
