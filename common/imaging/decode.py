"""Encoded images to pixels, in the five formats that microscopes and public sets use."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from common.errors import DataError
from common.imaging.dicom import decode_dicom, dicom_pixels, is_dicom

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".dcm"})
LARGEST_PIXELS = 2**26  # 67 million: more than any smear camera, less than a bomb needs
DECODING = 1  # raised whenever the same bytes begin to give other pixels: caches are keyed by it
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
# What Pillow's parsers raise on damaged files.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, OverflowError,
    struct.error, zlib.error, MemoryError,
)  # fmt: skip
# What it raises, before any pixel is unfolded, on a header that claims too many.
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, BMP, TIFF or DICOM file's bytes; the first page of several.

    The orientation that a camera noted in EXIF is applied. Transparent pixels lie on white, as
    an empty field of a smear does; 16-bit grey is reduced to its higher byte. A file that ends
    early is refused, not filled with grey.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        DataError: the bytes are no such image, are damaged, or hold more than 2^26 pixels. Its
            text names neither file nor value.
    """
    if is_dicom(data):
        return decode_dicom(data, LARGEST_PIXELS)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as file:
            if file.width * file.height > LARGEST_PIXELS:
                raise _too_large()
            file.load()
            ImageOps.exif_transpose(file, in_place=True)  # no copy where the camera was upright
            return _rgb(file)
    except _BOMB as error:
        raise _too_large() from error
    except _DAMAGE as error:
        raise DataError(
            "an image cannot be decoded",
            fix="replace it, or remove it from the manifest",
            local_detail=f"{type(error).__name__}: {error}",
        ) from error


def _too_large() -> DataError:
    return DataError(
        f"an image has more than {LARGEST_PIXELS} pixels",
        fix="cut it into fields before listing it in the manifest",
    )


def pixels_of(data: bytes) -> int:
    """Return how many pixels an encoded image will have, from its header; 0 if it tells none."""
    if is_dicom(data):
        return dicom_pixels(data)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as file:
            return file.width * file.height
    except (*_DAMAGE, *_BOMB):
        return 0


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no agreed range")
    if image.has_transparency_data:
        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, "white")
        image = Image.alpha_composite(white, above)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def header(path: Path) -> tuple[str, str, int, int]:
    """Return format, mode of the pixels, width and height as stored, without decoding a pixel.

    Raises:
        OSError: the file cannot be read, or is no such image.
    """
    with Image.open(path, formats=_FORMATS) as file:
        return str(file.format), file.mode, file.width, file.height
