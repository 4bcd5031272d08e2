"""Checks of the manifest and of the images that it lists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.manifest import Example, Manifest, read_manifest, read_table
from client.data.parallel import ROOM, in_order
from client.data.scan import OTHER_LABEL, SAME_LABEL, Scan
from client.doctor.finding import Finding, Watch, ok, problem, unwatched, warning
from client.holdings import offered
from client.site_config import SiteConfig
from common.errors import DataError
from common.imaging.decode import decode
from common.labels import Vocabulary, bare, entry, own_terms, spellings
from common.study.data import EVERY_IMAGE, Data
from common.study.schema import Study

_LISTED = 3  # files named in a line; there may be thousands
_WORDS = 20  # of the label column, likewise


@dataclass(frozen=True)
class Measured:
    """The images as they decode."""

    sizes: tuple[tuple[int, int], ...]  # height and width of each that can be decoded
    unreadable: tuple[Path, ...]  # the others


def listed(config: SiteConfig) -> tuple[Manifest, tuple[str, ...]]:
    """Read the manifest on its own terms; return it with the labels that it uses, sorted.

    Raises:
        DataError: as `client.data.manifest.read_manifest` says.
    """
    terms = [own_terms(word, config.labels) for word in sorted(words(config))]
    labels = tuple(sorted({bare(term): term for term in terms if term is not None}.values()))
    usual = Data()
    manifest = read_manifest(
        config.images.manifest, labels, usual.group, only=config.images.only,
        joined_by=usual.joined_by, root=config.images.root, words=config.labels,
    )  # fmt: skip
    return manifest, labels


def words(config: SiteConfig) -> Counter[str]:
    """Count the rows of each word in the label column.

    Raises:
        DataError: as `client.data.manifest.read_table` says.
    """
    rows = read_table(config.images.manifest, config.images.only)
    return Counter(row["label"] for _, row in rows)


def fitting(config: SiteConfig, study: Study) -> Manifest:
    """Read the manifest as a study does.

    Raises:
        DataError: as `client.data.manifest.read_manifest` says.
    """
    return offered(config, study)


def manifest_line(manifest: Manifest) -> Finding:
    """Tell how much the manifest lists."""
    return ok("manifest", f"{len(manifest.examples)} images listed, all there")


def labels_line(used: Mapping[str, int], own: Mapping[str, str | None], study: Study) -> Finding:
    """Compare the words of the label column with a study's classes.

    Args:
        used: rows of each word.
        own: what the site file says that words stand for.
        study: its classes.
    """
    vocabulary = Vocabulary(study.labels.classes, study.labels.words(own))
    foreign = spellings({word: n for word, n in used.items() if not vocabulary.knows(word)})
    if foreign:
        told = named([f"{word} ({n})" for word, n in foreign.items()])
        entries = [entry(word, vocabulary.suggestion(word)) for word in list(foreign)[:_WORDS]]
        return problem(
            "labels",
            f"study {study.name} has no class {told}; its classes are "
            f"{', '.join(study.labels.told())}",
            f"say in the site file what these words stand for: `labels: {{{', '.join(entries)}}}` "
            "(guesses: check each; null leaves the images out), or correct the manifest",
        )
    left_out = sum(n for word, n in used.items() if not vocabulary.uses(word))
    more = f"; {left_out} rows are left out by the site file" if left_out else ""
    return ok("labels", f"all are classes of study {study.name}{more}")


def counts_line(manifest: Manifest, classes: Sequence[str], fewest: int) -> Finding:
    """Count the images of each class.

    Args:
        manifest: its labels are indices into `classes`.
        classes: the study's, or those of the manifest.
        fewest: the site's limit, below which a class is not counted to the coordinator.
    """
    counts = Counter(example.label for example in manifest.examples)
    text = ", ".join(f"{name} {counts[i]}" for i, name in enumerate(classes))
    absent = [name for i, name in enumerate(classes) if not counts[i]]
    if len(classes) < 2 or len(absent) > len(classes) - 2:
        return warning(
            "classes", f"{text}: the images are of one class only",
            "add images of another class; a site with one class teaches the model little",
        )  # fmt: skip
    if absent:
        return warning(
            "classes", f"{text}: none of {named(absent)}",
            "nothing, if this hospital has none; the other sites must",
        )  # fmt: skip
    few = [name for i, name in enumerate(classes) if counts[i] < fewest]
    if few:
        return warning(
            "classes",
            f"{text}: {named(few)} below limits.fewest_examples ({fewest}) and not counted to "
            "the coordinator",
            "add images, or lower the limit in the site file",
        )
    return ok("classes", text)


def duplicates_line(scanned: Scan) -> Finding:
    """Tell of files with the same bytes."""
    same, other = scanned.left_out[SAME_LABEL], scanned.left_out[OTHER_LABEL]
    if other:
        return warning(
            "duplicates",
            f"{len(other)} images are listed under two labels ({_files(other)}), and "
            f"{len(same)} are copies under the same label; none of the former is used",
            "find out which label is right, and remove the other line from the manifest",
        )
    if same:
        return warning(
            "duplicates", f"{len(same)} images are copies of others ({_files(same)})",
            "nothing must be done: one of each is used; remove the copies to have true counts",
        )  # fmt: skip
    return ok("duplicates", "none")


def groups_line(examples: Sequence[Example], classes: Sequence[str], column: str) -> Finding:
    """Tell what groups the images, and whether one group holds too much of a class.

    Args:
        examples: their groups are those of the study, or of the usual columns.
        classes: the labels' names.
        column: which column groups.
    """
    if column == EVERY_IMAGE:
        return warning(
            "groups", "no column of the manifest groups the images: every image stands alone",
            "add a column `patient` (any code will do), or images of one patient may be both "
            "trained on and tested on",
        )  # fmt: skip
    of_class = Counter(example.label for example in examples)
    held = Counter((example.group, example.label) for example in examples)
    sizes = Counter(example.group for example in examples)
    text = f"{len(sizes)} by {column}, of {min(sizes.values())} to {max(sizes.values())} images"
    large = [
        f"{classes[label]}: {n} of {of_class[label]} in {group}"
        for (group, label), n in sorted(held.items())
        if 2 * n > of_class[label] and of_class[label] > 1
    ]
    if large:
        return warning(
            "groups", f"{text}; one group holds more than half of a class ({named(large)})",
            f"add images of further {column}s; the group goes into one part as a whole, so that "
            "training or test lacks most of this class",
        )  # fmt: skip
    return ok("groups", text)


def measured(examples: Sequence[Example], watch: Watch = unwatched) -> Measured:
    """Read and decode every image."""
    sizes: list[tuple[int, int]] = []
    unreadable: list[Path] = []
    found = in_order(_size_of, [example.image for example in examples])
    for number, (example, size) in enumerate(zip(examples, found, strict=True)):
        watch("images read", number, len(examples))
        if size is None:
            unreadable.append(example.image)
        else:
            sizes.append(size)
    watch("images read", len(examples), len(examples))
    return Measured(tuple(sizes), tuple(unreadable))


def _size_of(image: Path) -> tuple[int, int] | None:
    """Decode an image; return its height and width, None if it cannot be read."""
    try:
        data = image.read_bytes()
        with ROOM.for_image(data):
            height, width, _ = decode(data).shape
    except (OSError, DataError):
        return None
    return height, width


def readable_line(found: Measured) -> Finding:
    """Tell how many images cannot be decoded."""
    if found.unreadable:
        one = problem if not found.sizes else warning
        return one(
            "images",
            f"{len(found.unreadable)} of {len(found.unreadable) + len(found.sizes)} cannot be "
            f"read ({_files(found.unreadable)})",
            "replace them (JPEG, PNG, BMP, TIFF, DICOM), let this user read them, or remove their "
            "lines from the manifest; they are left out",
        )
    return ok("images", f"all {len(found.sizes)} can be read")


def size_line(found: Measured, study: Study | None) -> Finding:
    """Tell the smallest and the largest image, and how many a study would have to enlarge."""
    smallest, largest = min(found.sizes, key=min), max(found.sizes, key=max)
    text = f"{smallest[1]} x {smallest[0]} to {largest[1]} x {largest[0]} pixels"
    if study is None:
        return ok("image size", text)
    crop, wanted = study.imaging.crop, study.imaging.size
    height_left, width_left = 1 - crop.top - crop.bottom, 1 - crop.left - crop.right
    small = sum(
        min(height * height_left, width * width_left) < wanted for height, width in found.sizes
    )
    if small:
        return warning(
            "image size",
            f"{text}; {small} of {len(found.sizes)} are smaller than the {wanted} pixels of study "
            f"{study.name}",
            "photograph at a higher resolution, if that can be had; small images are enlarged",
        )
    return ok("image size", f"{text}; study {study.name} takes {wanted} x {wanted}")


def named(names: Sequence[str]) -> str:
    """Name the first few, and count the rest."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _files(paths: Sequence[Path]) -> str:
    return named([path.name for path in paths])
