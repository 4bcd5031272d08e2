"""Images decoded and prepared by every core, ahead of the work on them, and kept for other work."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from client.data.manifest import Example
from client.data.parallel import ROOM, cores, in_order
from client.data.shelf import Shelf
from client.data.views import Wanted
from client.training.augment import view
from common.errors import DataError
from common.imaging.decode import decode
from common.imaging.pipeline import prepare
from common.study.imaging import Imaging
from common.study.schema import Study

Image = NDArray[np.uint8]
_KEPT_AT_ONCE = 16  # prepared images are written to their shelf in batches


@dataclass(frozen=True)
class _Made:
    image: Image | None  # prepared anew; None: it was read from the shelf
    views: list[tuple[Wanted, Image]]


def prepared_views(
    wanted: Sequence[Wanted], study: Study, shelf: Shelf, batch: int, *, keep: bool
) -> Generator[tuple[Sequence[Wanted], Image]]:
    """Yield batches of prepared views; the next are made while one batch is worked on.

    An image is decoded and prepared once for all its views that follow one another, and not at
    all if the shelf holds it.

    Args:
        wanted: the views.
        study: its imaging settings and seed.
        shelf: of prepared images, by digest.
        batch: how many views are yielded at once; the last batch may be smaller.
        keep: whether images that are prepared now are put onto the shelf.

    Raises:
        DataError: an image was lost, or damaged, since it was scanned.
    """
    groups = [list(group) for _, group in groupby(wanted, key=lambda one: one[0].digest)]
    fullest = max((len(group) for group in groups), default=1)
    ahead = max(cores(), 2 * batch // fullest)
    fresh: dict[str, Image] = {}
    ready: list[tuple[Wanted, Image]] = []
    working = in_order(partial(_made, study=study, shelf=shelf), groups, ahead=ahead)
    try:
        for made in working:
            ready += made.views
            if keep and made.image is not None:
                fresh[made.views[0][0][0].digest] = made.image
                if len(fresh) >= _KEPT_AT_ONCE:
                    _put(shelf, fresh)
            while len(ready) >= batch:
                yield _batch(ready[:batch])
                ready = ready[batch:]
    finally:
        working.close()
        _put(shelf, fresh)
    if ready:
        yield _batch(ready)


def prepared(example: Example, settings: Imaging) -> Image:
    """Read, decode and prepare one image.

    Raises:
        DataError: it was lost, or damaged, since it was scanned.
    """
    try:
        data = example.image.read_bytes()
    except OSError as error:
        raise DataError(
            f"an image cannot be read from disk ({type(error).__name__})",
            fix="put it back, or remove it from the manifest and start the site again",
            local_detail=str(error),
        ) from error
    with ROOM.for_image(data):
        return prepare(decode(data), settings)


def _made(same: Sequence[Wanted], study: Study, shelf: Shelf) -> _Made:
    example = same[0][0]
    is_kept = example.digest in shelf
    image = shelf.read([example.digest])[0] if is_kept else prepared(example, study.imaging)
    views = [
        (one, view(image, one[1], study.augmentation, study.view_seed, example.digest))
        for one in same
    ]
    return _Made(None if is_kept else image, views)


def _put(shelf: Shelf, fresh: dict[str, Image]) -> None:
    """Move prepared images onto the shelf; one that is there by now is left out."""
    new = {digest: image for digest, image in fresh.items() if digest not in shelf}
    if new:
        shelf.append(list(new), np.stack(list(new.values())))
    fresh.clear()


def _batch(views: Sequence[tuple[Wanted, Image]]) -> tuple[Sequence[Wanted], Image]:
    return [wanted for wanted, _ in views], np.stack([image for _, image in views])
