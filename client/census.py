"""The census: what a site holds, counted, and which frozen weights it has."""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from numpy.typing import NDArray

from client.data.fields.signatures import read_key, signatures
from client.data.manifest import Example
from client.quality.judging import REASONS
from client.site import Site
from common.asks import CensusTold, Part
from common.study.schema import Study
from common.wire import Request

PARTS: tuple[Part, ...] = ("train", "validation", "test")
_SOFTWARE = ("leukofed", "torch", "torchvision", "timm", "xgboost", "numpy")


def answer_census(
    site: Site, study: Study, _request: Request
) -> tuple[CensusTold, Mapping[str, NDArray[Any]]]:
    """Count this site's usable examples per part and class.

    Classes with fewer examples than the site's limit are named as withheld instead.
    """
    bench = site.bench(study)
    told: dict[Part, dict[str, int]] = {}
    withheld: dict[Part, tuple[str, ...]] = {}
    for part in PARTS:
        counts = count_classes(bench.examples(part), study)
        few = withheld_classes(counts, site.config.limits.fewest_examples)
        told[part] = {name: n for name, n in counts.items() if name not in few}
        withheld[part] = few
    return CensusTold(
        examples=told,
        withheld=withheld,
        fewest_examples=site.config.limits.fewest_examples,
        groups={part: len({e.group for e in bench.examples(part)}) for part in PARTS},
        grouped_by=bench.holdings.grouped_by,
        excluded=told_exclusions(bench.holdings.excluded, site.config.limits.fewest_examples),
        weights=bench.extractor.front_digests,
        software={name: _version(name) for name in _SOFTWARE},
        numerics=bench.extractor.numerics.model_dump(),
        overlap=_overlap(site, study),
    ), {}


def _overlap(site: Site, study: Study) -> tuple[str, ...] | None:
    """Return keyed hashes of this site's images, if the study asks and the site file allows it."""
    if study.data.overlap == "none" or not site.config.limits.overlap:
        return None
    bench = site.bench(study)
    examples = [example for part in PARTS for example in bench.examples(part)]
    return signatures(examples, read_key(site.config.overlap_key_file), bench.pulse)


def count_classes(examples: Sequence[Example], study: Study) -> dict[str, int]:
    """Count examples per class of the study, zeros included."""
    counts = dict.fromkeys(study.labels.classes, 0)
    for example in examples:
        counts[study.labels.classes[example.label]] += 1
    return counts


def withheld_classes(counts: Mapping[str, int], fewest: int) -> tuple[str, ...]:
    """Name the classes whose count is told by nobody: some examples, but fewer than `fewest`."""
    return tuple(name for name, n in counts.items() if 0 < n < fewest)


def told_exclusions(excluded: Mapping[str, int], fewest: int) -> dict[str, int]:
    """Return the counts of images left out that are told.

    A reason of quality that fewer than `fewest` images have is not told: rare faults of
    single patients' images are nobody's business. What the study needs to hold together
    (duplicates, files that cannot be decoded) always is.
    """
    return {reason: n for reason, n in excluded.items() if reason not in REASONS or n >= fewest}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
