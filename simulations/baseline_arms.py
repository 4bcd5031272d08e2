"""The two arms without federated training: the linear probe and the colour-only baseline.

Both are fitted on all sites' training images in one place, and counted like the model arms: the
same held-back images, the same bootstrap replicates.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from client.activations import INSTALLED
from client.data.manifest import Example
from client.data.shelf import Shelf
from client.site import Bench, Site
from common.asks import EVALUATED, Part
from common.digests import digest_arrays
from common.imaging.colour import colour_statistics
from common.imaging.decode import decode
from common.imaging.pipeline import preparation_digest, prepare
from common.initial_model import InitialModel
from common.model.network import load_branches
from common.seeds import stream
from common.statistics.counts import EvaluationCounts, tally
from common.study.imaging import Imaging
from common.study.phases import EvaluationPhase
from common.study.schema import Study
from simulations.baselines import Probe, colour_only, linear_probe

Rows = Callable[[Site, Part], NDArray[np.float64]]
SiteCounts = dict[Part, dict[str, EvaluationCounts]]


SiteProbabilities = dict[Part, dict[str, NDArray[np.float64]]]


def probe_arm(sites: Mapping[str, Site], study: Study, initial: InitialModel) -> SiteCounts:
    """Fit and count a logistic regression on the frozen features of both backbones."""
    return _counted(sites, study, probe_probabilities(sites, study, initial))


def colour_arm(sites: Mapping[str, Site], study: Study) -> SiteCounts:
    """Fit and count a logistic regression on 24 colour statistics: no shape, no texture."""
    return _counted(sites, study, colour_probabilities(sites, study))


def probe_probabilities(
    sites: Mapping[str, Site], study: Study, initial: InitialModel
) -> SiteProbabilities:
    """Fit the linear probe, and return its probabilities (n, classes) by part and site."""
    digests = {name: digest_arrays(initial.parts[name]) for name in ("constants", "tails")}

    def rows(site: Site, part: Part) -> NDArray[np.float64]:
        bench = site.bench(study)
        load_branches(bench.branches, {name: initial.parts[name] for name in digests})
        with bench.computing():
            return bench.features(digests, part)[:, 0].astype(np.float64)

    return _predicted(sites, study, rows, linear_probe)


def colour_probabilities(sites: Mapping[str, Site], study: Study) -> SiteProbabilities:
    """Fit the colour-only baseline, and return its probabilities (n, classes) likewise."""
    plain = study.imaging.model_copy(update={"contrast": "none", "stain": "none"})

    def rows(site: Site, part: Part) -> NDArray[np.float64]:
        bench = site.bench(study)
        shelf = bench.cache.shelf(
            ["colour", preparation_digest(plain), INSTALLED.preparing],
            (24,),
            np.float64,
            "colour statistics",
        )
        examples = bench.examples(part)
        missing = [e for e in examples if e.digest not in shelf]
        if missing:
            _store_statistics(bench, shelf, missing, plain)
        return shelf.read([e.digest for e in examples])

    return _predicted(sites, study, rows, colour_only)


def _store_statistics(bench: Bench, shelf: Shelf, missing: list[Example], plain: Imaging) -> None:
    bench.cache.make_room((shelf, len(missing)))
    found = [
        colour_statistics(prepare(decode(example.image.read_bytes()), plain)) for example in missing
    ]
    shelf.append([example.digest for example in missing], np.stack(found))


def _predicted(
    sites: Mapping[str, Site], study: Study, rows: Rows, fit: Callable[..., Probe]
) -> SiteProbabilities:
    labels = {
        part: _pooled(sites, partial(_labels, study), part) for part in ("train", "validation")
    }
    inputs = {part: _pooled(sites, rows, part) for part in ("train", "validation")}
    probe = fit(
        inputs["train"], labels["train"], inputs["validation"], labels["validation"],
        classes=len(study.labels.classes),
    )  # fmt: skip
    return {
        part: {name: probe.probabilities(rows(site, part)) for name, site in sites.items()}
        for part in EVALUATED
    }


def _counted(
    sites: Mapping[str, Site], study: Study, probabilities: SiteProbabilities
) -> SiteCounts:
    return {
        part: {name: _tallied(sites[name], study, part, rows) for name, rows in found.items()}
        for part, found in probabilities.items()
    }


def _pooled(
    sites: Mapping[str, Site], rows: Callable[..., NDArray[np.generic]], part: str
) -> NDArray[np.generic]:
    return np.concatenate([rows(site, part) for site in sites.values()])


def _labels(study: Study, site: Site, part: Part) -> NDArray[np.int64]:
    return site.bench(study).labels(part)


def _tallied(
    site: Site, study: Study, part: Part, probabilities: NDArray[np.float64]
) -> EvaluationCounts:
    bench = site.bench(study)
    return tally(
        probabilities,
        bench.labels(part),
        [example.group for example in bench.examples(part)],
        study.phase(EvaluationPhase).replicates,
        stream(study.seed, "bootstrap", site.config.name, part),
    )
