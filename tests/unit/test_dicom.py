"""DICOM photographs: the pixels that were stored, and not a word of the header."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import DataError
from common.imaging.decode import decode, pixels_of
from common.imaging.dicom import is_dicom, patient_number
from common.imaging.synthetic import calibration_smears
from tests.support.dicom_files import PATIENT_ID, as_jpeg, named_in, write_dicom


@pytest.fixture(scope="module")
def smear() -> NDArray[np.uint8]:
    return np.ascontiguousarray(next(iter(calibration_smears(2, 1, 48)))[:40])


def test_colours_are_those_that_were_stored(tmp_path: Path, smear: NDArray[np.uint8]) -> None:
    data = write_dicom(tmp_path / "a.dcm", smear).read_bytes()
    assert is_dicom(data)
    assert pixels_of(data) == 40 * 48
    assert pixels_of(data[:200]) == 0
    np.testing.assert_array_equal(decode(data), smear)


def test_planes_of_colour(tmp_path: Path, smear: NDArray[np.uint8]) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", smear,
        elements={"PlanarConfiguration": 1, "PixelData": smear.transpose(2, 0, 1).tobytes()},
    )  # fmt: skip
    np.testing.assert_array_equal(decode(path.read_bytes()), smear)


def test_ybr_becomes_rgb(tmp_path: Path, smear: NDArray[np.uint8]) -> None:
    stored = cv2.cvtColor(smear, cv2.COLOR_RGB2YCrCb)[:, :, [0, 2, 1]]
    found = decode(write_dicom(tmp_path / "a.dcm", stored, "YBR_FULL").read_bytes())
    assert np.abs(found.astype(int) - smear).max() <= 3


def test_the_first_frame_counts(tmp_path: Path, smear: NDArray[np.uint8]) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.stack([smear, 255 - smear]), frames=2)
    np.testing.assert_array_equal(decode(path.read_bytes()), smear)


def test_jpeg_inside(tmp_path: Path, smear: NDArray[np.uint8]) -> None:
    jpeg = as_jpeg(smear)
    path = write_dicom(tmp_path / "a.dcm", smear, "YBR_FULL_422", jpeg=jpeg, frames=1)
    found = decode(path.read_bytes())
    assert np.abs(found.astype(int) - decode(jpeg)).mean() < 2


@pytest.mark.parametrize("bits", [12, 16])
def test_grey_keeps_its_higher_byte(tmp_path: Path, smear: NDArray[np.uint8], bits: int) -> None:
    grey = smear[:, :, 0]
    stored = (grey.astype(np.uint16) << (bits - 8)) + 3
    for colours, expected in (("MONOCHROME2", grey), ("MONOCHROME1", 255 - grey)):
        path = write_dicom(tmp_path / "a.dcm", stored, colours, bits=bits)
        np.testing.assert_array_equal(decode(path.read_bytes()), np.stack([expected] * 3, axis=2))


def test_signed_grey(tmp_path: Path, smear: NDArray[np.uint8]) -> None:
    grey = smear[:, :, 0]
    stored = ((grey.astype(np.int32) << 8) - 2**15).astype(np.int16)
    path = write_dicom(tmp_path / "a.dcm", stored, "MONOCHROME2")
    np.testing.assert_array_equal(decode(path.read_bytes())[:, :, 0], grey)


def test_a_palette(tmp_path: Path) -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    tables = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16]
              for name in ("Red", "Green", "Blue")}  # fmt: skip
    ramps = {"Red": np.arange(256) * 257, "Green": np.arange(256)[::-1] * 257,
             "Blue": np.full(256, 257 * 9)}  # fmt: skip
    data = {f"{name}PaletteColorLookupTableData": ramp.astype("<u2").tobytes()
            for name, ramp in ramps.items()}  # fmt: skip
    path = write_dicom(tmp_path / "a.dcm", stored, "PALETTE COLOR", elements={**tables, **data})
    expected = np.stack([stored, 255 - stored, np.full_like(stored, 9)], axis=2)
    np.testing.assert_array_equal(decode(path.read_bytes()), expected)


@pytest.mark.parametrize(
    "elements",
    [
        {"PixelData": b"\0" * 10}, {"Rows": 60000, "Columns": 60000}, {"Rows": 0},
        {"PhotometricInterpretation": "HSV GEHEIM"}, {"BitsAllocated": 7},
        {"SamplesPerPixel": 2},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_decoded_says_nothing_of_the_header(
    tmp_path: Path, smear: NDArray[np.uint8], elements: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    data = write_dicom(tmp_path / "a.dcm", smear, elements=elements).read_bytes()
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError) as caught:
        decode(data)
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert named_in(f"{error} {error.local_detail} {caplog.text}") == []


def test_every_truncation_is_an_error_that_says_nothing(
    tmp_path: Path, smear: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    data = write_dicom(tmp_path / "a.dcm", smear).read_bytes()
    for length in range(132, len(data), 307):
        with caplog.at_level(logging.DEBUG), pytest.raises(DataError) as caught:
            decode(data[:length])
        assert named_in(f"{caught.value} {caught.value.local_detail} {caplog.text}") == []


def test_a_header_with_a_wrong_byte_is_an_error_or_none(
    tmp_path: Path, smear: NDArray[np.uint8]
) -> None:
    data = write_dicom(tmp_path / "a.dcm", smear).read_bytes()
    told = set()
    for position in range(132, 1400, 13):
        damaged = data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
        try:
            decode(damaged)
        except DataError as error:
            told.add(f"{error} {error.local_detail}")
    assert len(told) > 1
    assert named_in(" ".join(told)) == []


def test_a_frame_larger_than_its_header_says_is_refused(
    tmp_path: Path, smear: NDArray[np.uint8]
) -> None:
    bomb = as_jpeg(np.zeros((800, 800, 3), np.uint8))
    path = write_dicom(tmp_path / "a.dcm", smear, "YBR_FULL_422", jpeg=bomb)
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(path.read_bytes())


def test_the_patients_number(tmp_path: Path, smear: NDArray[np.uint8]) -> None:
    assert patient_number(write_dicom(tmp_path / "a.dcm", smear)) == PATIENT_ID
    assert patient_number(write_dicom(tmp_path / "b.dcm", smear, elements={"PatientID": ""})) == ""
    (tmp_path / "c.dcm").write_bytes(b"no DICOM")
    assert patient_number(tmp_path / "c.dcm") == ""
