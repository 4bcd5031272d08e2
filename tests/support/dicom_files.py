"""DICOM photographs whose every identifying element names a person who does not exist."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

SECRETS = ("ZWERGNASE", "19330207", "GEHEIM")
"""Of names, dates and other text; none of them may be found anywhere."""
PATIENT_ID = "GEHEIM-0042"
_VL_MICROSCOPIC = UID("1.2.840.10008.5.1.4.1.1.77.1.2")
_NAMED = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PatientID",
    "OtherPatientIDs", "IssuerOfPatientID", "InstitutionName", "InstitutionalDepartmentName",
    "StationName", "StudyDescription", "SeriesDescription", "PatientAddress", "AccessionNumber",
    "StudyID", "PatientBirthDate", "StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate",
    "PatientComments", "ImageComments", "EthnicGroup", "Occupation", "MilitaryRank",
    "MedicalRecordLocator", "AdmissionID", "ProtocolName", "DeviceSerialNumber",
)  # fmt: skip
_TEXT = {"PN": "ZWERGNASE^KASPAR", "DA": "19330207", "SH": "GEHEIM"}


def write_dicom(
    path: Path,
    pixels: NDArray[Any],
    colours: str = "RGB",
    *,
    bits: int | None = None,
    jpeg: bytes | None = None,
    frames: int = 1,
    elements: Mapping[str, Any] | None = None,
) -> Path:
    """Write an image with names in every element that could hold one.

    Args:
        path: the file.
        pixels: (frames,) height, width (, 3), as they are stored.
        colours: photometric interpretation.
        bits: that are used; by default all.
        jpeg: a frame's compressed bytes, stored instead of `pixels`, which tell its shape.
        frames: how many.
        elements: replace or add elements by keyword.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _VL_MICROSCOPIC
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if jpeg is None else JPEGBaseline8Bit
    meta.SourceApplicationEntityTitle = "GEHEIM"
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in _NAMED:
        setattr(file, keyword, _TEXT.get(dictionary_VR(Tag(keyword)), "GEHEIM"))
    file.PatientID = PATIENT_ID
    file.SOPClassUID = _VL_MICROSCOPIC
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    shape = pixels.shape[1:] if frames > 1 else pixels.shape
    file.Rows, file.Columns = shape[:2]
    file.SamplesPerPixel = 3 if len(shape) == 3 else 1
    if len(shape) == 3:
        file.PlanarConfiguration = 0
    file.PhotometricInterpretation = colours
    file.BitsAllocated = pixels.dtype.itemsize * 8
    file.BitsStored = bits or file.BitsAllocated
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    if frames > 1:
        file.NumberOfFrames = frames
    file.PixelData = pixels.tobytes() if jpeg is None else encapsulate([jpeg] * frames)
    for keyword, value in (elements or {}).items():
        setattr(file, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path


def as_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Compress an RGB image as a camera does."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=95)
    return data.getvalue()


def named_in(text: str) -> list[str]:
    """Return which of the secrets a text holds."""
    return [secret for secret in (*SECRETS, PATIENT_ID, "0042") if secret in text.upper()]
