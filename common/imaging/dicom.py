"""DICOM photographs (visible light): pixels, and nothing else of the file.

The header names the patient. Only the elements listed here are ever read; what goes wrong is told
by the kind of fault alone, because a library's own text may quote a header.
"""

import io
import logging
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from common.errors import DataError

_PIXELS = [
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData",
]  # fmt: skip
_SIZE: list[Any] = ["Rows", "Columns"]
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
# What pydicom raises on damaged files, and on those that it cannot decompress.
_DAMAGE = (
    OSError, ValueError, TypeError, EOFError, LookupError, AttributeError, ArithmeticError,
    NotImplementedError, RuntimeError, struct.error, zlib.error, InvalidDicomError,
    BytesLengthException, Image.DecompressionBombError,
)  # fmt: skip

# Both would quote values: to a log, or as a warning.
logging.getLogger("pydicom").disabled = True
config.settings.reading_validation_mode = config.IGNORE


def is_dicom(data: bytes) -> bool:
    """Say whether bytes begin as a DICOM file does, whatever the file is called."""
    return data[128:132] == b"DICM"


def decode_dicom(data: bytes, largest_pixels: int) -> NDArray[np.uint8]:
    """Decode a DICOM file's image; the first frame of several.

    Grey of more than 8 bits keeps its higher byte; no window is applied.

    Args:
        data: the file's bytes.
        largest_pixels: of an image; a larger one is refused before its pixels are touched.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        DataError: it holds no image, is damaged, is compressed in a way that cannot be undone
            here, or is too large. Nothing of the header is in its text.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(io.BytesIO(data), specific_tags=list(_PIXELS))
            size = int(header.Columns), int(header.Rows)
            if size[0] * size[1] <= largest_pixels:
                _check_first_frame(header, size)
                return _rgb(header, pixel_array(header, index=0))
    except MemoryError as error:
        raise _failed("MemoryError") from error
    except _DAMAGE as error:
        fault = type(error).__name__
    else:
        raise DataError(
            f"an image has more than {largest_pixels} pixels",
            fix="cut it into fields before listing it in the manifest",
        )
    raise _failed(fault)  # out here, the library's error is no longer attached


def dicom_pixels(data: bytes) -> int:
    """Return how many pixels a DICOM file's image will have; 0 if its header does not tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=_SIZE)
            return max(0, int(header.Columns) * int(header.Rows))
    except (*_DAMAGE, MemoryError):
        return 0


def patient_number(file: Path) -> str:
    """Return a DICOM file's PatientID; empty if there is none, or the file cannot be read.

    It must not be shown or kept, only made a pseudonym (`client.data.pseudonyms`).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(file, stop_before_pixels=True, specific_tags=["PatientID"])
            return str(header.get("PatientID") or "").strip()
    except _DAMAGE:
        return ""


def _failed(fault: str) -> DataError:
    return DataError(
        "an image cannot be decoded",
        fix="replace it, or remove it from the manifest",
        local_detail=f"DICOM: {fault}",
    )


def _check_first_frame(header: Dataset, size: tuple[int, int]) -> None:
    """See that a compressed frame is as large as the header says: it may be a bomb."""
    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or syntax == RLELossless:
        return
    frames = int(header.get("NumberOfFrames") or 1)
    frame = get_frame(header.PixelData, 0, number_of_frames=frames)
    with Image.open(io.BytesIO(frame)) as image:
        if image.size != size:
            raise ValueError("a frame has another size than its header says")


def _rgb(header: Dataset, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    colours = str(header.PhotometricInterpretation)
    if colours == _PALETTE:
        coloured = apply_color_lut(pixels, header)
        return _eight_bits(coloured, coloured.dtype.itemsize * 8)
    bits = int(header.BitsStored)
    if colours in _GREYS and pixels.ndim == 2:
        if int(header.PixelRepresentation):
            pixels = pixels.astype(np.int32) + 2 ** (bits - 1)
        grey = _eight_bits(pixels, bits)
        return np.repeat((255 - grey if colours == "MONOCHROME1" else grey)[:, :, None], 3, axis=2)
    if colours in _COLOURS and pixels.ndim == 3 and pixels.shape[2] == 3:
        return _eight_bits(pixels, bits)
    raise ValueError("colours of another kind")


def _eight_bits(pixels: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Keep the higher byte of values with so many bits."""
    if bits > 8:
        pixels = np.minimum(pixels >> (bits - 8), 255)
    elif bits < 8:
        pixels = pixels.astype(np.uint16) * 255 // (2**bits - 1)
    return np.ascontiguousarray(pixels, dtype=np.uint8)
