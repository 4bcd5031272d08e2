"""What the files themselves say: digests, exact duplicates, images that cannot be decoded.

Both passes are remembered in a cache folder, which stays at the site and may be deleted at any
time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL

from client.data.groups import join_groups
from client.data.manifest import Example, Manifest
from client.data.parallel import ROOM, in_order
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
    try:
        unknown = [e for e in examples if not isinstance(verdicts.get(e.digest), bool)]
        found = in_order(lambda example: _decodes(example.image), unknown, pulse)
        for example, verdict in zip(unknown, found, strict=True):
            verdicts[example.digest] = verdict
    finally:  # what was decoded before an interruption need not be decoded again
        save(store, verdicts)
    usable = [example for example in examples if verdicts[example.digest]]
    return usable, [example.image for example in examples if not verdicts[example.digest]]


def _decodes(image: Path) -> bool:
    """Try an image. A disk or a memory that fails says nothing of it, and is no verdict."""
    try:
        data = image.read_bytes()
        with ROOM.for_image(data):
            decode(data)
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

    def entry_of(image: Path) -> list[Any]:
        status = image.stat()
        state = [status.st_size, status.st_mtime_ns]
        entry = known.get(str(image.absolute()))
        if isinstance(entry, list) and len(entry) == 3 and entry[:2] == state:
            return entry
        return [*state, digest_file(image)]

    found: dict[str, Any] = {}
    try:
        for image, entry in zip(images, in_order(entry_of, images, pulse), strict=True):
            found[str(image.absolute())] = entry
    except OSError as error:
        raise _unreadable(error) from error
    finally:  # what was digested before an interruption need not be digested again
        if any(known.get(image) != entry for image, entry in found.items()):
            save(store, known | found)
    return [str(found[str(image.absolute())][2]) for image in images]


def _unreadable(error: OSError) -> DataError:
    return DataError(
        f"an image cannot be read from disk ({type(error).__name__})",
        fix="see that the user who runs the worker may read every image",
        local_detail=str(error),
    )
