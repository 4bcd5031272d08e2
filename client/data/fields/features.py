"""What an image is recognised by: ORB keypoints of it and of its mirror image, and a thumbnail.

Rublee et al. 2011, "ORB: an efficient alternative to SIFT or SURF". A descriptor is 256 comparisons
of brightness around a corner, turned with the corner: light, contrast and rotation change few of
them. A mirror changes all, so the mirror image has keypoints of its own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.decode import decode

KEYPOINTS = 256
"""Most corners of an image, the strongest. Overlaps of a quarter of the image still share dozens;
twice as many find no more of them in real smears, and cost twice."""
THUMBNAIL = 32
"""Side of the thumbnail, by which copies with too few corners are compared."""

_SIDE = 320  # of the shorter side: nuclei have corners at every scale, and time grows with area
_LONGEST = 960  # of the longer side, so that a strip does not cost more than three squares
_MARGIN = 22  # pixels without corners along the edges: half the diagonal of a descriptor
_LEVELS, _STEP = 4, 1.2  # scales looked at: copies resized to 0.6 or 1.7 are still found
_FAST = 10  # least contrast of a corner, in grey levels; 20 leaves pale smears without
_POINT = 64  # positions are kept in sixty-fourths of a pixel
_TURN = 256  # directions are kept in 256 parts of a turn
ROW = 32 + 2 + 2 + 1  # bytes of a keypoint: descriptor, column, row, direction
RECORD = (2, KEYPOINTS, ROW)
"""Shape of an image's keypoints, uint8: as photographed, then mirrored; unused rows are 0."""


@dataclass(frozen=True)
class Corners:
    """The keypoints of an image, or of its mirror image.

    Args:
        descriptors: uint8 (n, 32).
        points: float32 (n, 2), column and row in pixels of the reduced image.
        angles: float32 (n,), directions in radians.
    """

    descriptors: NDArray[np.uint8]
    points: NDArray[np.float32]
    angles: NDArray[np.float32]


def features(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Find an image's keypoints and thumbnail.

    Args:
        data: an encoded image.

    Returns:
        Its keypoints, uint8 `RECORD`, and its thumbnail, uint8 (32, 32).

    Raises:
        DataError: it cannot be decoded.
    """
    grey = _reduced(np.asarray(cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY), np.uint8))
    mirrored = np.ascontiguousarray(grey[:, ::-1])
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.stack([_packed(grey), _packed(mirrored)]), np.asarray(small, np.uint8)


def corners(rows: NDArray[np.uint8]) -> Corners:
    """Unpack keypoints, uint8 (KEYPOINTS, ROW): one half of a record."""
    used = rows[rows[:, 32:36].any(axis=1)]
    return Corners(np.ascontiguousarray(used[:, :32]), positions(used), directions(used))


def positions(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return column and row of keypoints, float32 (n, 2)."""
    parts = np.ascontiguousarray(rows[..., 32:36]).view("<u2")
    return np.asarray(parts / np.float32(_POINT), np.float32)


def directions(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the directions of keypoints in radians, float32 (n,)."""
    return np.asarray(rows[..., 36] * np.float32(2 * np.pi / _TURN), np.float32)


def working_scale(height: int, width: int) -> float:
    """Return by how much an image is resized before keypoints are looked for."""
    return min(_SIDE / min(height, width), _LONGEST / max(height, width))


def _reduced(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring a grey image to the working size, its contrast to the whole range of grey."""
    height, width = grey.shape
    scale = working_scale(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(grey, size, interpolation=way)
    low, high = np.percentile(resized, (1, 99))
    if high - low < 1:
        return np.zeros(resized.shape, np.uint8)  # an empty field has no corners
    stretched = (resized.astype(np.float32) - low) * (255 / (high - low))
    return np.asarray(np.clip(stretched, 0, 255), np.uint8)


def _packed(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    detector = cv2.ORB.create(
        nfeatures=KEYPOINTS, scaleFactor=_STEP, nlevels=_LEVELS, edgeThreshold=_MARGIN,
        fastThreshold=_FAST,
    )  # fmt: skip
    rows = np.zeros(RECORD[1:], np.uint8)
    found, descriptors = detector.detectAndCompute(grey, None)
    if descriptors is None:
        return rows
    found, descriptors = found[:KEYPOINTS], descriptors[:KEYPOINTS]
    n = len(found)
    rows[:n, :32] = descriptors
    points = np.rint(np.array([point.pt for point in found]) * _POINT).astype("<u2")
    rows[:n, 32:36] = points.view(np.uint8).reshape(n, 4)
    turns = np.rint(np.array([point.angle for point in found]) * (_TURN / 360)).astype(int)
    rows[:n, 36] = turns % _TURN
    return rows
