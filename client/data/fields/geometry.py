"""Whether two images show one field: one turn, scale and shift that many keypoints agree on.

RANSAC (Fischler and Bolles 1981) as OpenCV has it: its random stream begins at the same number in
every call, whatever the process or thread, so that the same two images get the same answer.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from client.data.fields.features import Corners, corners

ENOUGH = 14
"""Fewest agreeing keypoints of a pair; chance gave 12 at most (docs/data.md, section Fields)."""

_DISTANCE = 64  # most of 256 comparisons in which two keypoints of one spot differ
_NEAR = 3.0  # pixels that an agreeing keypoint may lie off
_SCALES = (0.5, 2.0)  # of one image to the other, once both are of one working size
_TRIES, _CONFIDENCE = 1000, 0.999
_SPAN = 0.03  # of the image's area, by agreeing keypoints: more than one cell's
# What lies at one place in both pictures may be burned into them, as a scale bar is: then, unless
# the whole pictures are alike, it is no overlap.
_SAME_PLACE = 8.0  # pixels
_STILL_ENOUGH = 40  # fewest agreeing keypoints; a scale bar with its text has 10
_STILL_SPAN = 0.2  # of width and height, by the middle 60 % of them


@dataclass(frozen=True)
class Agreement:
    """Keypoints of two images that lie alike.

    Args:
        mirrored: whether the first image was mirrored for it.
        first: float32 (n, 2), their places in the first image, mirrored if `mirrored`.
        second: float32 (n, 2), in the second.
    """

    mirrored: bool
    first: NDArray[np.float32]
    second: NDArray[np.float32]

    @property
    def inliers(self) -> int:
        """Count them."""
        return len(self.first)


def agreement(
    first: NDArray[np.uint8], second: NDArray[np.uint8], mirrored: bool = False
) -> Agreement:
    """Compare two images; no agreement at all if it might be chance or a mark burned in.

    Args:
        first: its keypoints, uint8 `features.RECORD`.
        second: the other's.
        mirrored: compare the first image's mirror image.
    """
    return Agreement(mirrored, *_similar(corners(first[int(mirrored)]), corners(second[0])))


def _similar(a: Corners, b: Corners) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the places, in both, of the keypoints that one similarity brings together."""
    none = np.empty((0, 2), np.float32)
    if min(len(a.points), len(b.points)) < ENOUGH:
        return none, none
    mutual = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(a.descriptors, b.descriptors)
    pairs = [(m.queryIdx, m.trainIdx) for m in mutual if m.distance <= _DISTANCE]
    if len(pairs) < ENOUGH:
        return none, none
    left, right = np.array(pairs).T
    start, end = a.points[left], b.points[right]
    found, agreeing = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=_NEAR, maxIters=_TRIES,
        confidence=_CONFIDENCE,
    )  # fmt: skip
    if found is None or not _SCALES[0] < float(np.hypot(found[0, 0], found[1, 0])) < _SCALES[1]:
        return none, none
    inside = np.asarray(agreeing).ravel().astype(bool)
    start, end = start[inside], end[inside]
    if len(start) < ENOUGH or not _is_of_the_slide(start, end, a.points):
        return none, none
    return start, end


def _is_of_the_slide(
    start: NDArray[np.float32], end: NDArray[np.float32], of: NDArray[np.float32]
) -> bool:
    """Say whether agreeing keypoints span more than a mark burned into both pictures does.

    The box of all of an image's keypoints stands for the image.
    """
    extents = np.maximum(of.max(axis=0) - of.min(axis=0), 1)
    if float(np.median(np.abs(start - end).max(axis=1))) < _SAME_PLACE:
        low, high = np.quantile(start, (0.2, 0.8), axis=0)
        is_wide = bool(((high - low) / extents >= _STILL_SPAN).all())
        return is_wide and len(start) >= _STILL_ENOUGH
    return float(cv2.contourArea(cv2.convexHull(start))) >= _SPAN * float(extents.prod())
