"""What the files themselves say: digests, exact duplicates, images that cannot be decoded.

Both passes are remembered in a cache folder, which stays at the site and may be deleted at any
time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import PIL

from client.data.groups import join_groups
from client.data.manifest import Example, Manifest
from client.data.remembered import load, save
from client.pulse import Pulse, no_pulse
from common.digests import digest_file
from common.errors import DataError
from common.imaging.decode import decode

SAME_LABEL = "exact duplicate"
OTHER_LABEL = "duplicate with another label"
UNREADABLE = "cannot be decoded"


@dataclass(frozen=True)
class Scan:
    """The examples with their digests, and what was left out."""

    examples: tuple[Example, ...]
    left_out: Mapping[str, tuple[Path, ...]]  # images by reason; paths never travel

    @property
    def excluded(self) -> dict[str, int]:
        """Count the images left out, by reason."""
        return {reason: len(images) for reason, images in self.left_out.items() if images}


def scan(manifest: Manifest, cache: Path | None = None, pulse: Pulse = no_pulse) -> Scan:
    """Digest every image and drop exact duplicates.

    Of images with the same bytes the one that sorts first by path stays, whatever the order of
    the manifest; where their labels differ, none stays: one label is wrong, and nobody knows
    which. Groups that hold the same image become one group, for they share a patient.

    Args:
        manifest: as read.
        cache: folder in which digests are remembered by path, size and time of change.
        pulse: called before every image.

    Raises:
        DataError: an image cannot be read from disk.
    """
    digests = _digests([example.image for example in manifest.examples], cache, pulse)
    before = [example.group for example in manifest.examples]
    after = join_groups(before, digests)
    copies: dict[str, list[Example]] = {}
    for example, digest, group in zip(manifest.examples, digests, after, strict=True):
        copies.setdefault(digest, []).append(replace(example, digest=digest, group=group))

    kept: set[Path] = set()
    left_out: dict[str, list[Path]] = {SAME_LABEL: [], OTHER_LABEL: []}
    for same in copies.values():
        first, *others = sorted(same, key=lambda example: example.image)
        if len({example.label for example in same}) > 1:
            left_out[OTHER_LABEL] += [example.image for example in same]
        else:
            kept.add(first.image)
            left_out[SAME_LABEL] += [example.image for example in others]
    by_image = {example.image: example for same in copies.values() for example in same}
    return Scan(
        tuple(by_image[e.image] for e in manifest.examples if e.image in kept),
        {reason: tuple(images) for reason, images in left_out.items()},
    )


def readable(
    examples: Sequence[Example], cache: Path | None = None, pulse: Pulse = no_pulse
) -> tuple[list[Example], list[Path]]:
    """Decode every image once; return the examples that can be used, and the other images.

    Args:
        examples: scanned, with their digests.
        cache: folder in which verdicts are remembered by digest, for this version of Pillow.
        pulse: called before every image.

    Raises:
        DataError: an image cannot be read from disk, or does not fit into memory.
    """
    store = None if cache is None else cache / f"decodable-{PIL.__version__}.json"
    verdicts = load(store)
    usable, others = [], []
    try:
        for example in examples:
            pulse()
            if not isinstance(verdicts.get(example.digest), bool):
                verdicts[example.digest] = _decodes(example.image)
            if verdicts[example.digest]:
                usable.append(example)
            else:
                others.append(example.image)
    finally:  # what was decoded before an interruption need not be decoded again
        save(store, verdicts)
    return usable, others


def _decodes(image: Path) -> bool:
    """Try an image. A disk or a memory that fails says nothing of it, and is no verdict."""
    try:
        decode(image.read_bytes())
    except DataError as error:
        if isinstance(error.__cause__, MemoryError):
            raise DataError(
                "an image does not fit into memory", fix="free memory, then try again"
            ) from error
        return False
    except OSError as error:
        raise _unreadable(error) from error
    return True


def _digests(images: Sequence[Path], cache: Path | None, pulse: Pulse) -> list[str]:
    store = None if cache is None else cache / "digests.json"
    known = load(store)
    digests = []
    try:
        for image in images:
            pulse()
            status = image.stat()
            state = [status.st_size, status.st_mtime_ns]
            entry = known.get(str(image))
            if not (isinstance(entry, list) and len(entry) == 3 and entry[:2] == state):
                known[str(image)] = entry = [*state, digest_file(image)]
            digests.append(str(entry[2]))
    except OSError as error:
        raise _unreadable(error) from error
    finally:  # as below
        save(store, known)
    return digests


def _unreadable(error: OSError) -> DataError:
    return DataError(
        f"an image cannot be read from disk ({type(error).__name__})",
        fix="see that the user who runs the worker may read every image",
        local_detail=str(error),
    )
