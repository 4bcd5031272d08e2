"""Which photograph a small image was cut from, found by its pixels.

Both are compared coarsely first, everywhere; the best places are then compared pixel by pixel.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import DataError
from common.imaging.decode import decode

_COARSE = 32  # pixels that the smallest cutting keeps of its shorter side
_CANDIDATES = 3  # photographs that are compared pixel by pixel
_SAME = 0.95  # correlation of a cutting with its place; JPEG takes less than 0.02 away

Watch = Callable[[str, int, int], None]
Place = tuple[float, str, tuple[int, int]]  # correlation, photograph, column and row


def find_sources(
    photographs: Mapping[str, Path], cuttings: Sequence[Path], watch: Watch
) -> dict[Path, str | None]:
    """Return the name of the photograph that each cutting comes from; None: found in none.

    Args:
        photographs: files by name; one that cannot be decoded is passed over.
        cuttings: files, cut out at the photographs' own scale.
        watch: shows progress.
    """
    found: dict[Path, str | None] = dict.fromkeys(cuttings)
    greys = {path: grey for path in cuttings if (grey := _grey(path)) is not None}
    if not greys:
        return found
    factor = max(1, min(min(grey.shape) for grey in greys.values()) // _COARSE)
    places: dict[Path, list[Place]] = {path: [] for path in greys}
    small = {path: _reduced(grey, factor) for path, grey in greys.items()}
    for number, (name, file) in enumerate(photographs.items()):
        watch("photographs searched", number, len(photographs))
        whole = _grey(file)
        if whole is None:
            continue
        reduced = _reduced(whole, factor)
        for path, cutting in small.items():
            best = _best(reduced, cutting)
            if best is not None:
                places[path] = sorted([*places[path], (best[0], name, best[1])])[-_CANDIDATES:]
    watch("photographs searched", len(photographs), len(photographs))

    tried: dict[str, list[tuple[Path, tuple[int, int]]]] = defaultdict(list)
    for path, best_places in places.items():
        for _, name, place in best_places:
            tried[name].append((path, place))
    surest = dict.fromkeys(greys, _SAME)
    for number, (name, candidates) in enumerate(tried.items()):
        watch("cells compared", number, len(tried))
        whole = _grey(photographs[name])
        if whole is None:
            continue
        for path, place in candidates:
            same = _likeness(whole, greys[path], place, factor)
            if same >= surest[path]:
                surest[path], found[path] = same, name
    watch("cells compared", len(tried), len(tried))
    return found


def _grey(path: Path) -> NDArray[np.float32] | None:
    try:
        return cv2.cvtColor(decode(path.read_bytes()), cv2.COLOR_RGB2GRAY).astype(np.float32)
    except (DataError, OSError):
        return None


def _reduced(image: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    height, width = image.shape
    size = (max(1, width // factor), max(1, height // factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def _best(
    whole: NDArray[np.float32], cutting: NDArray[np.float32]
) -> tuple[float, tuple[int, int]] | None:
    if cutting.shape[0] > whole.shape[0] or cutting.shape[1] > whole.shape[1]:
        return None
    _, highest, _, (column, row) = cv2.minMaxLoc(
        cv2.matchTemplate(whole, cutting, cv2.TM_CCOEFF_NORMED)
    )
    return float(highest), (column, row)


def _likeness(
    whole: NDArray[np.float32], cutting: NDArray[np.float32], place: tuple[int, int], factor: int
) -> float:
    """Return the correlation at the best place within a few coarse pixels of where it was found."""
    column, row = (max(0, (coordinate - 2) * factor) for coordinate in place)
    height, width = cutting.shape
    around = whole[row : row + height + 4 * factor, column : column + width + 4 * factor]
    best = _best(around, cutting)
    return -1.0 if best is None else best[0]
