"""From a decoded image to a model's input, as a study's imaging settings say."""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from common.digests import digest_value
from common.imaging.contrast import camsr, clahe
from common.imaging.field import box_of_nuclei, lit_field
from common.imaging.mask import inpainted, painted_over
from common.imaging.scale_bar import scale_bar
from common.imaging.specks import without_specks
from common.imaging.stain import normalised
from common.study.imaging import Imaging

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Step = Literal["original", "clean", "crop", "mask", "stain", "contrast", "resize"]

# Raised whenever the same settings begin to give other pixels: caches are keyed by it.
_VERSION = 2
_DETAIL = 4  # sides of the model's input that stain and contrast look at, in an image that large
_CONTRASTS = {"camsr": camsr, "clahe": clahe}


def prepare(image: Image, settings: Imaging) -> Image:
    """Clean, crop, mask, normalise, enhance and resize one image, in this order.

    Fractions of crop and mask are measured on the image as decoded. Before its stain is looked at,
    what is left of a large image is reduced until its shorter side is four times `size`: two
    cameras then give the same smear the same contrast, and twenty megapixels cost little more than
    one (docs/data.md, Preparation). At last it is stretched to a square: by area averaging where
    that shrinks it, else by cubic interpolation. The same input gives the same bits, whatever the
    number of OpenCV's threads.

    Args:
        image: uint8 (height, width, 3), RGB.
        settings: the study's.

    Returns:
        uint8 (size, size, 3), RGB.
    """
    for _, after in steps(image, settings):
        image = after
    return image


def steps(image: Image, settings: Imaging) -> Iterator[tuple[Step, Image]]:
    """Yield the image as decoded, then as it is after each step of `prepare`.

    A step that is switched off, or finds nothing to do, yields what it was given.
    """
    yield "original", image
    if settings.clean == "specks":
        image = without_specks(image)
    yield "clean", image
    bar = scale_bar(image) if settings.scale_bar != "keep" else None
    rows, columns, masked = _found(image, settings)
    if bar is not None and settings.scale_bar == "median":
        masked = bar if masked is None else masked | bar
    image = np.ascontiguousarray(image[rows, columns])
    yield "crop", image
    if masked is not None:
        image = painted_over(image, masked[rows, columns])
    if bar is not None and settings.scale_bar == "inpaint":
        image = inpainted(image, bar[rows, columns])
    yield "mask", image
    image = normalised(_at_most(image, _DETAIL * settings.size), settings)
    yield "stain", image
    if settings.contrast != "none":
        image = _CONTRASTS[settings.contrast](image)
    yield "contrast", image
    yield "resize", _resized(image, settings.size)


def to_model_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn prepared images into x / 127.5 - 1, channels first.

    Args:
        images: uint8 (n, size, size, 3), RGB.

    Returns:
        float32 (n, 3, size, size) in [-1, 1].
    """
    count, height, width, channels = images.shape
    scaled = np.empty((count, channels, height, width), dtype=np.float32)
    np.divide(images.transpose(0, 3, 1, 2), np.float32(127.5), out=scaled)
    scaled -= 1.0
    return scaled


def preparation_digest(settings: Imaging) -> str:
    """Return what identifies prepared pixels beside the image itself: SHA-256, in hex.

    A setting that another one leaves without effect does not count.
    """
    unused = set()
    if settings.stain != "reinhard":
        unused.add("reinhard")
    if settings.stain != "macenko":
        unused.add("macenko")
    if settings.crop.to != "nuclei":
        unused.add("nuclei")
    used = settings.model_dump(mode="json", exclude=unused)
    return digest_value({"version": _VERSION, "imaging": used})


def _found(image: Image, settings: Imaging) -> tuple[slice, slice, Mask | None]:
    """Return the rows and columns that stay, and what of the whole image is painted over."""
    height, width = image.shape[:2]
    crop = settings.crop
    rows = _interval(crop.top, 1.0 - crop.bottom, height)
    columns = _interval(crop.left, 1.0 - crop.right, width)
    masked = None
    if settings.mask or crop.to == "field":
        masked = np.zeros((height, width), dtype=np.bool_)
        for rectangle in settings.mask:
            down = _interval(rectangle.top, rectangle.bottom, height)
            masked[down, _interval(rectangle.left, rectangle.right, width)] = True
        if crop.to == "field":
            field = lit_field(image[rows, columns])
            masked[rows, columns] |= field.outside
            rows, columns = _within(rows, field.rows), _within(columns, field.columns)
    if crop.to == "nuclei":
        down, across = box_of_nuclei(image[rows, columns], settings.nuclei, settings.size)
        rows, columns = _within(rows, down), _within(columns, across)
    return rows, columns, masked


def _interval(start: float, stop: float, length: int) -> slice:
    """Pixels between two fractions of a length; at least one."""
    first = min(round(start * length), length - 1)
    return slice(first, max(first + 1, round(stop * length)))


def _within(outer: slice, inner: slice) -> slice:
    """Return, counted from the whole, a slice that is counted from the start of another."""
    return slice(outer.start + inner.start, outer.start + inner.stop)


def _at_most(image: Image, shortest: int) -> Image:
    """Reduce an image by area averaging until its shorter side is no longer than that."""
    height, width = image.shape[:2]
    share = shortest / min(height, width)
    if share >= 1.0:
        return image
    size = (round(width * share), round(height * share))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _resized(image: Image, size: int) -> Image:
    height, width = image.shape[:2]
    shrinks = height * width > size * size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), dtype=np.uint8)
