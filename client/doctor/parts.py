"""Check of how a study would split the images."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from client.data.manifest import Example
from client.data.splits import PARTS, split
from client.doctor.finding import Finding, ok, problem, warning
from client.doctor.images import named
from common.asks import Part
from common.errors import DataError
from common.study.schema import Study


def parts_line(examples: Sequence[Example], study: Study, site: str, fewest: int) -> Finding:
    """Split as the study would.

    Args:
        examples: the site's.
        study: says the shares and the classes.
        site: its name, from which the draw depends.
        fewest: the site's limit, below which a class is not counted to the coordinator.
    """
    try:
        parts = split(examples, study.data.split, study.seed, site)
    except DataError as error:
        return problem("parts", error.problem, error.fix)
    text = ", ".join(f"{name} {len(parts[name])}" for name in PARTS)
    empty = [name for name in PARTS if not parts[name]]
    if "train" in empty:
        return problem(
            "parts", f"{text}: nothing to train on", "correct the manifest's split column"
        )
    if empty:
        return warning(
            "parts", f"{text}: nothing for {named(empty)}",
            "add images of more patients, or state the parts in the manifest's split column",
        )  # fmt: skip
    short = [*_lacking(examples, parts, study), *_unscored(parts, study, fewest)]
    if short:
        return warning(
            "parts", f"{text}: {'; '.join(short)}",
            "add images of more patients of these classes, or, for those below it, lower the limit "
            "in the site file",
        )  # fmt: skip
    return ok("parts", f"{text} images in study {study.name}")


def _lacking(
    examples: Sequence[Example], parts: Mapping[Part, Sequence[Example]], study: Study
) -> Iterator[str]:
    """Tell which of the site's classes training or test has nothing of."""
    held = {example.label for example in examples}
    for name in ("train", "test"):
        absent = sorted(held - {example.label for example in parts[name]})
        if absent:
            yield f"no {named([study.labels.classes[label] for label in absent])} in {name}"


def _unscored(parts: Mapping[Part, Sequence[Example]], study: Study, fewest: int) -> Iterator[str]:
    """Tell which classes have so few test images that none of them is told."""
    tested = Counter(example.label for example in parts["test"])
    few = [name for i, name in enumerate(study.labels.classes) if 0 < tested[i] < fewest]
    if few:
        yield (
            f"test images of {named(few)} are below limits.fewest_examples ({fewest}), so that "
            "these classes are not scored here"
        )
